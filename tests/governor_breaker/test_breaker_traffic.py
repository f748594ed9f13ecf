"""The breaker in traffic: what it must reach (G9, G10), and that its checks see what is broken.

Every run is told by its seed, which a failing assertion shows.
"""

import random

import pytest
from governor_breaker.traffic import (
    TENANTS,
    Answer,
    Traffic,
    Upstream,
    bad,
    good,
    hanging,
    outage,
    steady,
)

from headrace.dispatcher.governor import effects
from headrace.dispatcher.governor.breaker.policy import BreakerPolicy
from headrace.dispatcher.ports import CallEnd
from headrace.schemas.breakers import State, Why
from headrace.schemas.names import Tenant

ONSET_S = 60.0
SEEDS = range(6)
EVER_MS = 10**12


def poisoned(_: float, tenant: Tenant, dice: random.Random) -> Answer:
    """One tenant's calls all fail, as quickly as errors do; the others' are good."""
    return bad(dice) if tenant == TENANTS[0] else good(dice)


def limited(status: int = 429) -> Upstream:
    """Nine of ten calls are turned away."""
    return lambda _, __, dice: bad(dice, status) if dice.random() < 0.9 else good(dice)


def storm(seed: int) -> Traffic:
    """Two minutes of 429s."""
    return Traffic(limited(), seed=seed).run(120)


def lost_probes(seed: int, policy: BreakerPolicy) -> Traffic:
    """An outage, after which the first two probes die with their dispatchers."""
    traffic = Traffic(outage(ONSET_S, ONSET_S + 5), seed=seed, policy=policy)
    traffic.mortal_probes = 2
    return traffic.run(ONSET_S + 400)


def cold_starts(policy: BreakerPolicy) -> list[int]:
    """Seeds whose first seconds of traffic, a fifth of it errors, open the breaker."""
    runs = {seed: Traffic(steady(0.2), seed=seed, policy=policy).run(6) for seed in range(150)}
    return [seed for seed, traffic in runs.items() if traffic.opened_s()]


@pytest.mark.parametrize("seed", SEEDS)
def test_a_hard_outage_at_20_rps_opens_within_3_s_and_costs_60_calls(seed: int) -> None:
    onset_s = ONSET_S + seed / len(SEEDS)
    traffic = Traffic(outage(onset_s, onset_s + 120), seed=seed).run(onset_s + 120)
    assert traffic.opened_s()[0] - onset_s <= 3.0
    assert traffic.failed_calls(onset_s, traffic.opened_s()[0] + 5) <= 60


@pytest.mark.parametrize("seed", SEEDS)
def test_no_round_of_an_outage_has_more_than_three_probes(seed: int) -> None:
    traffic = Traffic(outage(ONSET_S, ONSET_S + 300), seed=seed).run(ONSET_S + 300)
    rounds = traffic.probes_by_round()
    assert len(rounds) >= 3
    assert max(rounds) <= 3


@pytest.mark.parametrize("seed", SEEDS)
def test_after_an_outage_it_closes_and_stays_closed(seed: int) -> None:
    traffic = Traffic(outage(ONSET_S, ONSET_S + 40), seed=seed).run(ONSET_S + 160)
    assert traffic.owner.breaker.state is State.CLOSED
    assert not [at_s for at_s in traffic.opened_s() if at_s > ONSET_S + 45]


@pytest.mark.parametrize("rps", [1, 3, 8, 20])
def test_a_steady_fifth_of_errors_opens_nothing_in_an_hour(rps: int) -> None:
    traffic = Traffic(steady(0.2), seed=rps, rps=rps, tick_ms=1_000, dispatchers=2)
    assert traffic.run(3_600).opened_s() == []
    assert len(traffic.made) > 0.9 * 3_600 * rps


def test_no_cold_start_opens_anything() -> None:
    assert cold_starts(BreakerPolicy()) == []


def test_cold_starts_see_rules_that_chance_can_trip() -> None:
    assert cold_starts(BreakerPolicy(evidence=0)) != []


@pytest.mark.parametrize("seed", SEEDS)
def test_an_upstream_that_hangs_opens_a_stall_bound_later(seed: int) -> None:
    upstream = outage(ONSET_S, ONSET_S + 300, lambda _: hanging())
    traffic = Traffic(upstream, seed=seed, streams=1.0).run(ONSET_S + 60)
    assert 30 <= traffic.opened_s()[0] - ONSET_S <= 36
    assert traffic.transitions[0][1].why is Why.HANGING


@pytest.mark.parametrize("seed", SEEDS)
def test_one_poisonous_tenant_does_not_close_the_upstream_to_the_others(seed: int) -> None:
    tenants = {TENANTS[0]: 0.8, TENANTS[1]: 0.1, TENANTS[2]: 0.1}
    traffic = Traffic(poisoned, seed=seed, tenants=tenants).run(300)
    assert traffic.opened_s() == []


@pytest.mark.parametrize("seed", SEEDS)
def test_a_storm_of_429s_opens_nothing(seed: int) -> None:
    assert storm(seed).opened_s() == []


def test_the_storm_sees_a_breaker_that_is_fed_by_429s(monkeypatch: pytest.MonkeyPatch) -> None:
    failed = effects.effects_of(CallEnd(status=500))
    monkeypatch.setattr(effects, "_LIMITED", failed)
    assert all(storm(seed).opened_s() for seed in SEEDS)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_probe_that_dies_with_its_dispatcher_holds_nothing_up(seed: int) -> None:
    traffic = lost_probes(seed, BreakerPolicy())
    whys = [change.why for _, change in traffic.transitions]
    assert Why.PROBE_EXPIRED in whys
    assert traffic.owner.breaker.state is State.CLOSED


@pytest.mark.parametrize("seed", SEEDS)
def test_lost_probes_see_a_breaker_whose_probes_do_not_expire(seed: int) -> None:
    traffic = lost_probes(seed, BreakerPolicy(probe_ms=EVER_MS))
    assert traffic.owner.breaker.state is State.HALF_OPEN


def test_a_seed_repeats_exactly() -> None:
    one, other = (Traffic(outage(20, 40), seed=7).run(90) for _ in range(2))
    assert one.made == other.made
    assert one.transitions == other.transitions
