"""The limits of a configuration as scopes, one tree for each upstream account."""

from collections.abc import Iterator, Mapping
from itertools import combinations

from headrace.dispatcher.governor.allocation import AllocationPolicy
from headrace.dispatcher.governor.tree import Caps, Scope, Tree
from headrace.schemas.config.limits import Rates
from headrace.schemas.config.model import Config, DeploymentConfig
from headrace.schemas.names import LaneName

Reserves = Mapping[frozenset[LaneName], float]
"""What each set of lanes leaves to others, as a share."""


def tree_of(config: Config) -> Tree:
    """All scopes: pools, deployments, tenants, and what lanes leave to one another.

    Seats are left out: `concurrency` is kept by each dispatcher process for itself.
    """
    reserves = _reserves(config)
    return Tree(
        tuple(
            scope
            for whole in _upstream(config)
            for scope in (whole, *_reserved(whole, reserves))
            if any(scope.caps.named())
        )
        + tuple(_tenants(config))
    )


def policy_of(config: Config) -> AllocationPolicy:
    """Lanes in their order, tenants with their weights."""
    return AllocationPolicy(
        tuple(config.lanes),
        {name: tenant.weight for name, tenant in config.tenants.items()},
        lower_share=config.dispatcher.lower_lane_share,
    )


def _upstream(config: Config) -> Iterator[Scope]:
    """Pools first: they lie outside of their deployments."""
    members: dict[str, list[DeploymentConfig]] = {name: [] for name in config.pools}
    for deployment in config.deployments:
        if deployment.pool is not None:
            members[deployment.pool].append(deployment)
    for name, pool in config.pools.items():
        names = frozenset(one.name for one in members[name])
        yield Scope(f"pool {name}", _caps(pool.limits), deployments=names)
    for one in config.deployments:
        yield Scope(one.name, _caps(one.limits), deployments=frozenset({one.name}))


def _tenants(config: Config) -> Iterator[Scope]:
    for name, tenant in config.tenants.items():
        caps = _caps(tenant.limits)
        if any(caps.named()):
            yield Scope(f"tenant {name}", caps, tenants=frozenset({name}))


def _reserves(config: Config) -> Reserves:
    """Lanes that have no reserve of a set leave all of that set's; so for each set there is a limit."""
    own = {name: lane.reserve for name, lane in config.lanes.items() if lane.reserve > 0}
    left: dict[frozenset[LaneName], float] = {}
    for size in range(1, len(own) + 1):
        for names in combinations(own, size):
            others = frozenset(name for name in config.lanes if name not in names)
            if others:
                left[others] = sum(own[name] for name in names)
    return left


def _reserved(whole: Scope, reserves: Reserves) -> Iterator[Scope]:
    for lanes, share in reserves.items():
        caps = {d.value: max(1, int(cap * (1 - share))) for d, cap in whole.caps.named()}
        name = f"{whole.name} for {', '.join(sorted(lanes))}"
        yield Scope(name, Caps(**caps), whole.window_ms, whole.deployments, lanes)


def _caps(limits: Rates) -> Caps:
    return Caps(
        limits.requests_per_minute,
        limits.input_tokens_per_minute,
        limits.output_tokens_per_minute,
        limits.tokens_per_minute,
    )
