"""A cancel is remembered until nobody can ask any more, and never without bound."""

from hypothesis import given
from hypothesis import strategies as st

from headrace.dispatcher.cancels import Cancels
from headrace.schemas.names import RequestId

A, B, C = RequestId("a"), RequestId("b"), RequestId("c")


def test_a_cancel_may_come_before_its_request() -> None:
    cancels = Cancels()
    cancels.add(A, deadline_ms=100, now_ms=0)
    assert A in cancels
    assert B not in cancels


def test_a_cancel_past_its_deadline_is_not_kept() -> None:
    cancels = Cancels()
    cancels.add(A, deadline_ms=99, now_ms=100)
    assert A not in cancels


def test_deadlines_that_pass_make_room() -> None:
    cancels = Cancels()
    cancels.add(A, deadline_ms=100, now_ms=0)
    cancels.add(B, deadline_ms=300, now_ms=101)
    assert A not in cancels
    assert B in cancels


def test_beyond_the_limit_the_one_nearest_to_its_deadline_goes() -> None:
    cancels = Cancels(limit=2)
    for request_id, deadline_ms in ((A, 300), (B, 100), (C, 200)):
        cancels.add(request_id, deadline_ms, now_ms=0)
    assert [request_id in cancels for request_id in (A, B, C)] == [True, False, True]


@given(
    st.lists(st.tuples(st.integers(0, 30), st.integers(0, 200), st.integers(0, 5)), max_size=200),
    st.integers(1, 10),
)
def test_memory_is_bounded_by_the_limit_and_by_the_deadlines(
    added: list[tuple[int, int, int]], limit: int
) -> None:
    cancels = Cancels(limit)
    now_ms = 0
    for number, deadline_ms, pause_ms in added:
        now_ms += pause_ms
        cancels.add(RequestId(str(number)), deadline_ms, now_ms)
        assert len(cancels._until) == len(cancels._heap) <= limit


def test_new_cancels_are_told_once() -> None:
    cancels = Cancels()
    cancels.add(RequestId("a"), 2, 1)
    assert (cancels.are_new(), cancels.are_new()) == (True, False)


def test_a_cancel_that_nobody_can_ask_for_any_more_is_not_new() -> None:
    cancels = Cancels()
    cancels.add(RequestId("a"), 1, 2)
    assert not cancels.are_new()
