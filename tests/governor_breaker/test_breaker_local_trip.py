"""A dispatcher's own refusal, for a moment."""

import pytest

from headrace.dispatcher.governor.breaker.local_trip import LocalTrip, LocalTripPolicy
from headrace.dispatcher.ports import Break, CallEnd

POLICY = LocalTripPolicy()
T0 = 1_800_000_000_000
DOWN = CallEnd(status=502)


def after(*ends: CallEnd | None, started: int | None = None) -> LocalTrip:
    """After calls that ended so; as many were started, or more."""
    trip = LocalTrip()
    for _ in range(len(ends) if started is None else started):
        trip = trip.after_start()
    for end in ends:
        trip = trip.after_end(end, T0, T0, POLICY)
    return trip


@pytest.mark.parametrize("end", [DOWN, CallEnd(broken=Break.NOT_SENT), CallEnd(status=500)])
def test_five_failures_in_a_row_refuse_for_a_moment(end: CallEnd) -> None:
    trip = after(*[end] * 5)
    assert trip.refuses(T0)
    assert trip.refuses(T0 + POLICY.refuse_ms - 1)
    assert not trip.refuses(T0 + POLICY.refuse_ms)
    assert not after(*[end] * 4).refuses(T0)


def test_it_takes_five_more_to_refuse_again() -> None:
    trip = after(*[DOWN] * 9)
    assert not trip.refuses(T0 + POLICY.refuse_ms)
    assert trip.after_end(DOWN, T0, T0 + 5_000, POLICY).refuses(T0 + 5_000)


def test_a_good_answer_ends_the_row() -> None:
    assert not after(*[DOWN] * 4, CallEnd(status=200), *[DOWN] * 4).refuses(T0)


def test_a_good_answer_to_a_call_of_before_the_first_failure_does_not_end_the_row() -> None:
    failing = after(*[DOWN] * 4)
    long_call = failing.after_end(CallEnd(status=200), T0 - 30_000, T0 + 100, POLICY)
    assert long_call.after_end(DOWN, T0, T0 + 200, POLICY).refuses(T0 + 200)
    fresh = failing.after_end(CallEnd(status=200), T0 + 50, T0 + 100, POLICY)
    assert not fresh.after_end(DOWN, T0, T0 + 200, POLICY).refuses(T0 + 200)


def test_errors_that_come_back_before_the_answers_do_not_refuse() -> None:
    assert not after(*[DOWN] * 5, started=11).refuses(T0)
    assert after(*[DOWN] * 5, started=10).refuses(T0)


@pytest.mark.parametrize(
    "end",
    [
        CallEnd(status=429),
        CallEnd(status=529),
        CallEnd(status=400),
        CallEnd(status=401),
        CallEnd(broken=Break.STALL),
        None,
    ],
)
def test_what_is_not_beyond_doubt_neither_counts_nor_ends_the_row(end: CallEnd | None) -> None:
    assert not after(*[end] * 10).refuses(T0)
    assert after(*[DOWN] * 4, end, DOWN).refuses(T0)


def test_no_dispatcher_refuses_for_more_than_three_seconds_on_its_own() -> None:
    with pytest.raises(ValueError, match="3 s at most"):
        LocalTripPolicy(refuse_ms=3_001)
