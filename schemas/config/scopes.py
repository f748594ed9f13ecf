"""What has limits in a configuration, by the governor's names. Pure."""

from headrace.schemas.config.limits import SHARED, Limits
from headrace.schemas.config.model import Config


def limits_of(config: Config) -> dict[str, Limits]:
    """The limits of each scope that has some, by the governor's names."""
    found: dict[str, Limits] = {f"pool {name}": one.limits for name, one in config.pools.items()}
    found |= {f"model {name}": one.limits for name, one in config.models.items()}
    found |= {str(one.name): one.limits for one in config.deployments}
    found |= {f"tenant {name}": one.limits for name, one in config.tenants.items()}
    for tenant, one in config.tenants.items():
        found |= {f"key {tenant}/{name}": key.limits for name, key in one.limited_keys.items()}
    return {name: limits for name, limits in found.items() if any(amounts(limits).values())}


def amounts(limits: Limits) -> dict[str, int | None]:
    """By the names of the configuration."""
    return {name: getattr(limits, name) for name in SHARED}
