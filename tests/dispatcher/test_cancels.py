"""A cancel is remembered until nobody can ask any more, and never without bound."""

from hypothesis import given
from hypothesis import strategies as st

from headrace.dispatcher.cancels import Cancels
from headrace.schemas.names import RequestId, Tenant
from headrace.schemas.records import RequestRecord
from headrace.schemas.replies import Cancel

ACME, GLOBEX = Tenant("acme"), Tenant("globex")


def request(name: str, tenant: Tenant = ACME) -> RequestRecord:
    return RequestRecord(id=RequestId(name), body=b"{}", tenant=tenant)


A, B, C = request("a"), request("b"), request("c")


def cancel(record: RequestRecord, deadline_ms: int) -> Cancel:
    return Cancel(record.id, deadline_ms, record.tenant)


def test_a_cancel_may_come_before_its_request() -> None:
    cancels = Cancels()
    cancels.add(cancel(A, 100), now_ms=0)
    assert A in cancels
    assert B not in cancels


def test_the_same_id_of_another_tenant_goes_on() -> None:
    cancels = Cancels()
    cancels.add(cancel(A, 100), now_ms=0)
    assert A in cancels
    assert request("a", GLOBEX) not in cancels


def test_a_cancel_past_its_deadline_is_not_kept() -> None:
    cancels = Cancels()
    cancels.add(cancel(A, 99), now_ms=100)
    assert A not in cancels


def test_deadlines_that_pass_make_room() -> None:
    cancels = Cancels()
    cancels.add(cancel(A, 100), now_ms=0)
    cancels.add(cancel(B, 300), now_ms=101)
    assert A not in cancels
    assert B in cancels


def test_beyond_the_limit_the_one_nearest_to_its_deadline_goes() -> None:
    cancels = Cancels(limit=2)
    for record, deadline_ms in ((A, 300), (B, 100), (C, 200)):
        cancels.add(cancel(record, deadline_ms), now_ms=0)
    assert [record in cancels for record in (A, B, C)] == [True, False, True]


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
        cancels.add(cancel(request(str(number)), deadline_ms), now_ms)
        assert len(cancels._until) == len(cancels._heap) <= limit


def test_new_cancels_are_told_once() -> None:
    cancels = Cancels()
    cancels.add(cancel(A, 2), 1)
    assert (cancels.are_new(), cancels.are_new()) == (True, False)


def test_a_cancel_that_nobody_can_ask_for_any_more_is_not_new() -> None:
    cancels = Cancels()
    cancels.add(cancel(A, 1), 2)
    assert not cancels.are_new()
