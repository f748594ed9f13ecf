"""What admission knows of the configuration, arranged for look-ups: who may use what.

Built once per configuration. Globs are resolved against the served models here, so that a request
costs set membership only.
"""

from fnmatch import fnmatchcase

import msgspec

from headrace.schemas.config.model import Config, TenantConfig
from headrace.schemas.names import DEFAULT_TENANT, NO_KEY, KeyName, LaneName, ModelName, Tenant

DEFAULT_LANE = b""
"""Key of the lane table for requests that name no lane."""


class Lane(msgspec.Struct, frozen=True):
    """A lane and its deadlines in milliseconds."""

    name: LaneName
    deadline_ms: int
    longest_ms: int


class Caller(msgspec.Struct, frozen=True):
    """A tenant, and what it may use."""

    tenant: Tenant
    models: frozenset[str]
    lanes: frozenset[LaneName]
    key_name: KeyName = NO_KEY
    """Of the key it came with, if that has limits of its own."""


class AdmissionPolicy(msgspec.Struct, frozen=True):
    """Everything that decides about a request before it is queued."""

    max_body_bytes: int
    models: frozenset[str]
    lanes: dict[bytes, Lane]
    """By the value of the lane header; `DEFAULT_LANE` for none."""
    callers: dict[Tenant, Caller]
    digests: dict[Tenant, tuple[str, ...]]
    limited: dict[str, Caller]
    """By the digests of keys with limits of their own."""
    pepper: str | None
    """None: `auth: open`, everybody is the default tenant."""
    anybody: Caller
    """The caller under `auth: open`."""


def admission_policy(config: Config) -> AdmissionPolicy:
    """The policy that `config` describes."""
    models = frozenset(deployment.model for deployment in config.deployments)
    lanes = {
        name.encode(): Lane(name, round(lane.deadline_s * 1000), lane.max_deadline_s * 1000)
        for name, lane in config.lanes.items()
    }
    lanes[DEFAULT_LANE] = lanes[config.lane_by_default.encode()]
    keyed = config.auth.mode == "keys"
    pepper = config.auth.pepper
    default = config.tenants.get(DEFAULT_TENANT, TenantConfig())
    callers = {
        name: _caller(name, tenant, config, models) for name, tenant in config.tenants.items()
    }
    return AdmissionPolicy(
        max_body_bytes=config.ingress.max_body_bytes,
        models=models,
        lanes=lanes,
        callers=callers,
        digests={
            name: tuple(key.digest for key in tenant.keys)
            for name, tenant in config.tenants.items()
        },
        limited={
            key.digest: msgspec.structs.replace(callers[name], key_name=key_name)
            for name, tenant in config.tenants.items()
            for key_name, key in tenant.limited_keys.items()
        },
        pepper=pepper.get_secret_value() if keyed and pepper is not None else None,
        anybody=_caller(DEFAULT_TENANT, default, config, models),
    )


def _caller(
    name: Tenant, tenant: TenantConfig, config: Config, models: frozenset[ModelName]
) -> Caller:
    allowed = (model for model in models if any(fnmatchcase(model, glob) for glob in tenant.models))
    lanes = config.lanes if tenant.lanes is None else tenant.lanes
    return Caller(name, frozenset(allowed), frozenset(lanes))
