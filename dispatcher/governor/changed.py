"""The limits of a configuration as operators have changed them since."""

from collections.abc import Mapping
from typing import TypeVar

from headrace.schemas.config.model import (
    Config,
    DeploymentConfig,
    KeyConfig,
    ModelConfig,
    PoolConfig,
    TenantConfig,
)
from headrace.schemas.config.scopes import amounts
from headrace.schemas.names import Tenant
from headrace.schemas.settings import Limit

Owner = TypeVar("Owner", DeploymentConfig, KeyConfig, ModelConfig, PoolConfig, TenantConfig)


def changed(config: Config, limits: Mapping[str, Limit]) -> Config:
    """`config` with these limits, by the governor's names of scopes.

    Only limits that are configured change: which deployments have limits at all is known from the start.
    What the configuration does not have, any more, is passed over.
    """
    if not limits:
        return config
    return config.model_copy(
        update={
            "deployments": [_with(one, limits.get(one.name)) for one in config.deployments],
            "pools": {k: _with(one, limits.get(f"pool {k}")) for k, one in config.pools.items()},
            "models": {k: _with(one, limits.get(f"model {k}")) for k, one in config.models.items()},
            "tenants": {
                k: _with(_with_keys(k, one, limits), limits.get(f"tenant {k}"))
                for k, one in config.tenants.items()
            },
        }
    )


def _with_keys(tenant: Tenant, one: TenantConfig, limits: Mapping[str, Limit]) -> TenantConfig:
    keys = [_with(key, limits.get(f"key {tenant}/{key.name}")) for key in one.keys]
    return one.model_copy(update={"keys": keys})


def _with(one: Owner, change: Limit | None) -> Owner:
    if change is None:
        return one
    configured = amounts(one.limits)
    new = {name: amount for name, amount in change.rates().items() if configured[name] is not None}
    return one.model_copy(update={"limits": one.limits.model_copy(update=new)})
