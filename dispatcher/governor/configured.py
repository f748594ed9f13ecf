"""The limits of a configuration as scopes, one tree for each upstream account."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import chain, combinations
from typing import Final, TypeVar

from headrace.dispatcher.governor.allocation import AllocationPolicy
from headrace.dispatcher.governor.cooldown import CooldownPolicy
from headrace.dispatcher.governor.learning.limit import LearnPolicy
from headrace.dispatcher.governor.learning.seats import FIRST, SeatsPolicy
from headrace.dispatcher.governor.restraints import RestraintPolicy
from headrace.dispatcher.governor.tree import Caps, Scope, Tree
from headrace.schemas.config.governor import GovernorConfig
from headrace.schemas.config.limits import DeploymentLimits, Limits
from headrace.schemas.config.model import Config
from headrace.schemas.names import LaneName, Tenant

T = TypeVar("T")
ROUNDING: Final = 1e-12
"""Shares are sums of decimal fractions: 0.4 of 100 are 40."""


@dataclass(frozen=True, slots=True)
class Rest:
    """Those who own none of some reserves, and the share that they leave to the owners."""

    lanes: frozenset[LaneName] | None
    """None: all."""
    but_tenants: frozenset[Tenant]
    reserved: float

    @property
    def name(self) -> str:
        """Who they are."""
        whose = [", ".join(sorted(self.lanes))] if self.lanes is not None else []
        if self.but_tenants:
            whose.append(f"all tenants but {', '.join(sorted(self.but_tenants))}")
        return " of ".join(whose)


def tree_of(config: Config) -> Tree:
    """All scopes: pools, models, deployments, tenants, keys, and what is left where others have a reserve."""
    reserves = list(_reserves(config))
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
        restraint=_restraint_of(config),
    )


def _restraint_of(config: Config) -> RestraintPolicy:
    """Which rules about upstreams' own limits are only tried out."""
    shadow = config.governor.shadow
    return RestraintPolicy(
        CooldownPolicy(shadow="rests" in shadow), LearnPolicy(shadow="learned_limits" in shadow)
    )


def _upstream(config: Config) -> Iterator[Scope]:
    """Pools and models first: they lie outside of their deployments."""
    for name, pool in config.pools.items():
        names = frozenset(one.name for one in config.deployments if one.limits.pool == name)
        yield _scope(f"pool {name}", pool.limits, names)
    for model, said in config.models.items():
        names = frozenset(one.name for one in config.deployments if one.model == model)
        yield _scope(f"model {model}", said.limits, names)
    for one in config.deployments:
        scope = _scope(one.name, one.limits, frozenset({one.name}))
        yield replace(scope, adaptive=_adaptive(one.limits, config.governor))


def _adaptive(limits: DeploymentLimits, governor: GovernorConfig) -> SeatsPolicy | None:
    """How the seats of a deployment are learned, if they are."""
    most = limits.concurrency
    if most is None or not limits.adaptive:
        return None
    least = min(limits.adaptive_least, most)
    return SeatsPolicy(
        first=max(least, min(FIRST, most)),
        least=least,
        most=most,
        tolerance=limits.adaptive_tolerance,
        shadow="learned_seats" in governor.shadow,
    )


def _scope(name: str, limits: Limits, deployments: frozenset[str]) -> Scope:
    return Scope(name, _caps(limits), deployments=deployments, shadow=limits.shadow)


def _tenants(config: Config) -> Iterator[Scope]:
    for name, tenant in config.tenants.items():
        caps = _caps(tenant.limits)
        if any(caps.named()):
            whose = frozenset({name})
            yield Scope(f"tenant {name}", caps, tenants=whose, shadow=tenant.limits.shadow)
        for key, one in tenant.limited_keys.items():
            yield Scope(
                f"key {name}/{key}",
                _caps(one.limits),
                tenants=frozenset({name}),
                keys=frozenset({key}),
                shadow=one.limits.shadow,
            )


def _reserves(config: Config) -> Iterator[Rest]:
    """For each set of owners, what all others leave to it: so a limit for each set."""
    lanes = {name: lane.reserve for name, lane in config.lanes.items() if lane.reserve > 0}
    tenants = {name: one.reserve for name, one in config.tenants.items() if one.reserve > 0}
    for own_lanes in _sets(lanes):
        for own_tenants in _sets(tenants):
            others = frozenset(name for name in config.lanes if name not in own_lanes)
            if others and (own_lanes or own_tenants):
                reserved = sum(lanes[one] for one in own_lanes)
                reserved += sum(tenants[one] for one in own_tenants)
                yield Rest(others if own_lanes else None, frozenset(own_tenants), reserved)


def _sets(owners: Collection[T]) -> Iterator[tuple[T, ...]]:
    return chain.from_iterable(combinations(owners, size) for size in range(len(owners) + 1))


def _reserved(whole: Scope, reserves: Iterable[Rest]) -> Iterator[Scope]:
    for rest in reserves:
        left = 1 - rest.reserved + ROUNDING
        caps = {d.value: max(1, int(cap * left)) for d, cap in whole.caps.named()}
        yield replace(
            whole,
            name=f"{whole.name} for {rest.name}",
            caps=Caps(**caps),
            lanes=rest.lanes,
            but_tenants=rest.but_tenants,
            part_of=whole.name,
            adaptive=None,
        )


def _caps(limits: Limits) -> Caps:
    return Caps(
        limits.requests_per_minute,
        limits.input_tokens_per_minute,
        limits.output_tokens_per_minute,
        limits.tokens_per_minute,
        limits.concurrency,
    )
