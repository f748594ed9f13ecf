"""The states of a breaker, by example and against all sequences of events."""

import math

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from headrace.dispatcher.governor.breaker.machine import (
    ORDERED,
    Breaker,
    allowance,
    end_probe,
    lend_probe,
    order,
    tick,
)
from headrace.dispatcher.governor.breaker.policy import BreakerPolicy
from headrace.dispatcher.governor.breaker.rules import Finding
from headrace.schemas.breakers import Figures, Probe, ProbeEnd, State, Why

POLICY = BreakerPolicy()
ERRORS = Finding(Why.ERRORS, Figures(calls=10, failed=10))
T0 = 1_800_000_000_000
HALF = 0.5
rolls = st.floats(min_value=0, max_value=1, exclude_max=True)


def opened(trips: int = 1) -> Breaker:
    """Open since T0, for the time of this many trips in a row."""
    return tick(Breaker(trips=trips - 1), ERRORS, T0, HALF, POLICY)


def half_open(trips: int = 1) -> Breaker:
    """Half open, no probe lent."""
    breaker = opened(trips)
    return tick(breaker, None, breaker.open_until_ms, HALF, POLICY)


def lent(breaker: Breaker, probes: int) -> Breaker:
    """After that many probes were lent."""
    for _ in range(probes):
        breaker, _ = lend_probe(breaker, "d1.1", breaker.since_ms, POLICY)
    return breaker


def ramping() -> Breaker:
    """At the beginning of the ramp."""
    breaker = lent(half_open(), 3)
    for number in (1, 2, 3):
        breaker = end_probe(breaker, number, ProbeEnd.PASSED)
    return tick(breaker, None, breaker.since_ms + 1, HALF, POLICY)


@pytest.mark.parametrize(
    ("trips", "roll", "open_ms"),
    [
        (1, 0.5, 15_000),
        (1, 0.0, 12_000),
        (1, 0.999999, 18_000),
        (2, 0.5, 30_000),
        (5, 0.5, 240_000),
        (6, 0.5, 300_000),
        (6, 0.0, 240_000),
        (60, 0.9, 300_000),
    ],
)
def test_each_trip_in_a_row_opens_for_twice_as_long(trips: int, roll: float, open_ms: int) -> None:
    breaker = tick(Breaker(trips=trips - 1), ERRORS, T0, roll, POLICY)
    assert (breaker.state, breaker.trips) == (State.OPEN, trips)
    assert breaker.open_until_ms == T0 + open_ms


def test_an_open_breaker_lets_nothing_through_until_its_time() -> None:
    breaker = opened()
    assert allowance(breaker, T0, POLICY).share == 0
    assert tick(breaker, None, breaker.open_until_ms - 1, HALF, POLICY) is breaker
    assert tick(breaker, None, breaker.open_until_ms, HALF, POLICY).state is State.HALF_OPEN


def test_three_probes_are_lent_and_no_fourth() -> None:
    breaker = lent(half_open(), 3)
    assert allowance(breaker, breaker.since_ms, POLICY).probes == 0
    assert lend_probe(breaker, "d2.1", breaker.since_ms, POLICY) == (breaker, None)


def test_a_failed_probe_restarts_the_cooldown_for_longer() -> None:
    breaker = end_probe(lent(half_open(), 1), 1, ProbeEnd.FAILED)
    again = tick(breaker, None, breaker.since_ms, HALF, POLICY)
    assert (again.state, again.trips, again.why) == (State.OPEN, 2, Why.PROBE_FAILED)


def test_an_expired_probe_has_failed() -> None:
    breaker = lent(half_open(), 1)
    expires_ms = breaker.probes[0].expires_ms
    assert tick(breaker, None, expires_ms - 1, HALF, POLICY) is breaker
    assert tick(breaker, None, expires_ms, HALF, POLICY).why is Why.PROBE_EXPIRED


def test_probes_that_pass_begin_the_ramp() -> None:
    breaker = ramping()
    assert (breaker.state, breaker.why) == (State.RAMP, Why.PROBES_PASSED)


def test_the_ramp_rises_in_four_steps_and_closes() -> None:
    breaker = ramping()
    starts = [breaker.since_ms + n * POLICY.ramp_step_ms for n in range(5)]
    assert [allowance(breaker, at, POLICY).share for at in starts[:4]] == [0.1, 0.25, 0.5, 1.0]
    assert tick(breaker, None, starts[4] - 1, HALF, POLICY) is breaker
    assert tick(breaker, None, starts[4], HALF, POLICY).state is State.CLOSED


def test_a_closed_breaker_keeps_judging_from_the_beginning_of_the_ramp() -> None:
    breaker = ramping()
    closed = tick(breaker, None, breaker.since_ms + 20_000, HALF, POLICY)
    assert closed.evidence_from_ms == breaker.since_ms


def test_a_trip_in_the_ramp_opens_for_longer() -> None:
    breaker = ramping()
    again = tick(breaker, ERRORS, breaker.since_ms + 1, HALF, POLICY)
    assert (again.state, again.trips) == (State.OPEN, 2)


def test_trips_are_forgotten_after_a_quiet_time() -> None:
    closed = Breaker(trips=3, since_ms=T0)
    assert tick(closed, None, T0 + POLICY.forget_ms - 1, HALF, POLICY).trips == 3
    assert tick(closed, None, T0 + POLICY.forget_ms, HALF, POLICY).trips == 0


def test_probes_that_tell_nothing_are_followed_by_others() -> None:
    breaker = lent(half_open(), 3)
    for number in (1, 2, 3):
        breaker = end_probe(breaker, number, ProbeEnd.UNTOLD)
    again = tick(breaker, None, breaker.since_ms + 1, HALF, POLICY)
    assert (again.state, again.probes) == (State.HALF_OPEN, ())
    assert lent(again, 1).probes[0].number == 4


def test_a_probe_that_was_not_sent_is_lent_again() -> None:
    breaker = end_probe(lent(half_open(), 3), 2, ProbeEnd.RENOUNCED)
    assert allowance(breaker, breaker.since_ms, POLICY).probes == 1


def test_the_first_end_of_a_probe_counts_and_a_late_one_does_not() -> None:
    breaker = end_probe(lent(half_open(), 1), 1, ProbeEnd.PASSED)
    assert end_probe(breaker, 1, ProbeEnd.FAILED) == breaker
    fresh = half_open()
    assert end_probe(fresh, 1, ProbeEnd.FAILED) == fresh


@pytest.mark.parametrize("state", sorted(ORDERED - {State.CLOSED, State.METRICS_ONLY}))
def test_what_an_operator_set_neither_time_nor_errors_change(state: State) -> None:
    breaker = order(opened(), state, "ann", T0)
    assert (breaker.state, breaker.by, breaker.trips) == (state, "ann", 0)
    assert tick(breaker, ERRORS, T0 + 10**9, HALF, POLICY) is breaker
    assert allowance(breaker, T0, POLICY).share == float(state is not State.FORCED_OPEN)


@pytest.mark.parametrize("state", sorted(set(State) - ORDERED))
def test_no_operator_sets_a_state_that_the_breaker_comes_to(state: State) -> None:
    with pytest.raises(ValueError, match="comes to that"):
        order(Breaker(), state, "ann", T0)


def test_a_reset_closes_and_forgets() -> None:
    breaker = order(opened(4), State.CLOSED, "ann", T0 + 5)
    assert (breaker.state, breaker.trips, breaker.evidence_from_ms) == (State.CLOSED, 0, T0 + 5)


def test_metrics_only_counts_what_it_would_have_done_and_refuses_nothing() -> None:
    breaker = order(Breaker(), State.METRICS_ONLY, "ann", T0)
    for _ in range(3):
        breaker = tick(breaker, ERRORS, T0 + 1, HALF, POLICY)
    assert (breaker.state, breaker.would_trip) == (State.METRICS_ONLY, 1)
    allowed = allowance(breaker, T0 + 1, POLICY)
    assert (allowed.share, allowed.would_refuse) == (1.0, True)
    assert tick(breaker, ERRORS, breaker.open_until_ms, HALF, POLICY).would_trip == 2


@pytest.mark.parametrize(
    "wrong",
    [
        {"probes": 0},
        {"ramp": (0.5, 0.1)},
        {"ramp": (0.0, 1.0)},
        {"failing_share": 0.0},
        {"open_ms": 400_000},
        {"slow_ms": 30_000},
        {"evidence": -1.0},
        {"stall_s": 600},
        {"jitter": 1.0},
    ],
)
def test_a_policy_that_makes_no_sense_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 (each has words of its own)
        BreakerPolicy(**wrong)  # type: ignore[arg-type]


class AnyEvents(RuleBasedStateMachine):
    """A breaker under any events, and what must hold whatever comes."""

    def __init__(self) -> None:
        super().__init__()
        self.now_ms = T0
        self.breaker = Breaker(since_ms=T0)
        self.out: list[Probe] = []
        self.sent = 0

    @rule(wait_ms=st.integers(0, 400_000), found=st.booleans(), roll=rolls)
    def time_passes(self, wait_ms: int, found: bool, roll: float) -> None:
        self.now_ms += wait_ms
        before = self.breaker
        self.breaker = tick(before, ERRORS if found else None, self.now_ms, roll, POLICY)
        if self.breaker.since_ms != before.since_ms or self.breaker.state is not before.state:
            self.sent = 0
        if self.breaker.state is State.OPEN and before.state is not State.OPEN:
            open_ms = self.breaker.open_until_ms - self.now_ms
            assert 12_000 <= open_ms <= POLICY.longest_open_ms

    @rule()
    def a_request_wants_a_probe(self) -> None:
        self.breaker, probe = lend_probe(self.breaker, "d1.1", self.now_ms, POLICY)
        if probe is not None:
            assert self.breaker.state is State.HALF_OPEN
            assert probe.number not in {earlier.number for earlier in self.out}
            self.out.append(probe)
            self.sent += 1

    @precondition(lambda self: self.out)
    @rule(pick=st.integers(0, 10**6), end=st.sampled_from(ProbeEnd))
    def a_probe_ends_perhaps_late_or_twice(self, pick: int, end: ProbeEnd) -> None:
        probe = self.out[pick % len(self.out)]
        held = len(self.breaker.probes)
        self.breaker = end_probe(self.breaker, probe.number, end)
        self.sent -= held - len(self.breaker.probes)

    @rule(state=st.sampled_from(sorted(ORDERED)))
    def an_operator_commands(self, state: State) -> None:
        self.breaker = order(self.breaker, state, "ann", self.now_ms)
        self.sent = 0

    @invariant()
    def at_most_three_probes_a_round(self) -> None:
        assert self.sent <= POLICY.probes
        assert len(self.breaker.probes) <= POLICY.probes

    @invariant()
    def it_never_sticks(self) -> None:
        """Left alone by operators, with traffic that succeeds, it closes within bounded time."""
        if self.breaker.state in (State.OPEN, State.HALF_OPEN, State.RAMP):
            assert closes(self.breaker, self.now_ms) < 40 * 60_000

    @invariant()
    def only_what_is_open_shuts_out(self) -> None:
        allowed = allowance(self.breaker, self.now_ms, POLICY)
        shut = self.breaker.state in (State.OPEN, State.FORCED_OPEN, State.HALF_OPEN)
        assert (allowed.share == 0) is shut


def closes(breaker: Breaker, now_ms: int) -> float:
    """How long until it closes when every request that is let through succeeds; infinity: never."""
    from_ms = now_ms
    for _ in range(10_000):
        if breaker.state is State.CLOSED:
            return now_ms - from_ms
        breaker, probe = lend_probe(breaker, "d9.1", now_ms, POLICY)
        if probe is not None:
            breaker = end_probe(breaker, probe.number, ProbeEnd.PASSED)
        breaker = tick(breaker, None, now_ms, HALF, POLICY)
        now_ms += 1_000
    return math.inf


TestAnyEvents = AnyEvents.TestCase
