"""Waits end, never early, and late by no more than is said."""

from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.dispatcher.delays import SHORTEST_TIER, Timers, tier_for
from headrace.schemas.topics import TIERS
from support.dispatch import tenure, waiting

LAG_MS = 400
"""How late a delay topic's reader may be in these tests."""


def travel(due_ms: int, now_ms: int, memory_ms: int, lags: list[int]) -> tuple[int, int]:
    """Follow a wait through tiers and memory as the loop does; returns its end and its hops."""
    hops = 0
    while True:
        left_ms = due_ms - now_ms
        if left_ms <= 0:
            return now_ms, hops
        if left_ms <= memory_ms:
            return due_ms, hops
        now_ms += TIERS[tier_for(left_ms)] + lags[hops % len(lags)]
        hops += 1


def test_a_tier_never_overshoots_a_wait_that_holds_one() -> None:
    assert [tier_for(ms) for ms in (1_000, 9_999, 10_000, 59_999, 60_000, 10**9)] == [
        "1s",
        "1s",
        "10s",
        "10s",
        "1m",
        "10m",
    ]


def test_a_wait_below_every_tier_takes_the_shortest() -> None:
    assert {tier_for(ms) for ms in (-5, 0, 1, 999)} == {SHORTEST_TIER}


@given(
    wait_ms=st.integers(-1_000, 90_000_000),
    memory_ms=st.sampled_from([0, 500, 2_000, 10_000]),
    lags=st.lists(st.integers(0, LAG_MS), min_size=1, max_size=5),
)
def test_a_composed_wait_is_never_early_ends_and_is_little_late(
    wait_ms: int, memory_ms: int, lags: list[int]
) -> None:
    start_ms = 1_000_000
    ended_ms, hops = travel(start_ms + wait_ms, start_ms, memory_ms, lags)
    due_ms = max(start_ms, start_ms + wait_ms)
    assert ended_ms >= due_ms
    # Only a rest that memory could not take is waited for in a tier that is too long for it.
    rest_ms = 0 if memory_ms >= TIERS[SHORTEST_TIER] else TIERS[SHORTEST_TIER]
    assert ended_ms - due_ms <= rest_ms + LAG_MS
    longest = max(TIERS.values())
    assert hops <= wait_ms // longest + 9 + 5 + 5 + 9 + 1 if wait_ms > 0 else hops == 0


def test_what_is_due_comes_in_the_order_of_its_time() -> None:
    timers = Timers()
    late, early, never = waiting(), waiting(), waiting()
    timers.push(20, late)
    timers.push(10, early)
    timers.push(99, never)
    assert timers.due(9) == []
    assert timers.due(20) == [early, late]
    assert timers.next_ms() == 99


def test_equal_times_keep_the_order_they_came_in() -> None:
    timers = Timers()
    requests = [waiting() for _ in range(5)]
    for request in requests:
        timers.push(7, request)
    assert timers.due(7) == requests


def test_without_timers_nothing_is_next() -> None:
    assert Timers().next_ms() is None


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 50), st.booleans()), max_size=40), st.integers(0, 50))
def test_taking_some_out_leaves_the_others_at_their_times(
    timed: list[tuple[int, bool]], now_ms: int
) -> None:
    timers = Timers()
    requests = []
    for at_ms, stays in timed:
        request = waiting(size=int(stays))
        requests.append((at_ms, request))
        timers.push(at_ms, request)
    assert len(timers.take(lambda w: not w.size)) == sum(not stays for _, stays in timed)
    due = timers.due(now_ms)
    expected = [(at, w) for at, w in requests if w.size and at <= now_ms]
    assert due == [w for _, w in sorted(expected, key=lambda pair: pair[0])]
    assert len(timers) == sum(at > now_ms and bool(w.size) for at, w in requests)


def test_the_bytes_that_wait_are_known_by_partition() -> None:
    timers, one, other = Timers(), tenure(), tenure()
    for at_ms, size, owner in ((1, 10, one), (2, 20, other), (3, 30, one)):
        timers.push(at_ms, waiting(size=size, owner=owner))
    assert (timers.size, timers.size_of(one), timers.size_of(other)) == (60, 40, 20)
    timers.due(1)
    timers.take(lambda waiting: waiting.tenure is other)
    assert (timers.size, timers.size_of(one), timers.size_of(other)) == (30, 30, 0)
