"""Hand-overs and marks read back as written, and the newest owner's mark decides."""

from hypothesis import given
from hypothesis import strategies as st

from headrace.schemas.handover import Origin, mark_headers, mark_of, origin
from headrace.schemas.headers import H
from headrace.schemas.journal import Mark, SessionId, counts

PLACE = "headrace.requests.standard-3-41"
A, B, C = SessionId("d-a.1"), SessionId("d-b.1"), SessionId("d-c.9")


def mark(offset: int, of: str, epoch: int) -> Mark:
    """A mark of one place."""
    return Mark(PLACE, offset, of, epoch, 99)


def test_an_origin_reads_back() -> None:
    was = Origin(PLACE, 2, A)
    headers = [("ce_id", b"r"), (H.HANDED_ON_FROM.value, was.encode())]
    assert origin(headers) == was
    assert origin(headers, H.PARKED_FROM) is None


def test_a_mark_reads_back_with_the_offset_where_it_stands() -> None:
    assert mark_of(mark_headers(mark(0, A, 7)), 12) == mark(12, A, 7)


@given(st.lists(st.tuples(st.text(), st.binary()), max_size=3))
def test_any_other_record_is_neither(headers: list[tuple[str, bytes]]) -> None:
    assert mark_of(headers, 0) is None
    assert origin(headers) is None


def test_without_a_mark_before_it_a_hand_over_counts() -> None:
    assert counts([], A, 5)
    assert counts([mark(6, B, 2)], A, 5)


def test_behind_a_mark_only_its_session_hands_on() -> None:
    assert not counts([mark(4, B, 2)], A, 5)
    assert counts([mark(4, B, 2)], B, 5)


def test_the_mark_of_a_replaced_owner_that_comes_late_changes_nothing() -> None:
    marks = [mark(3, B, 9), mark(4, A, 2)]
    assert counts(marks, B, 5)
    assert not counts(marks, A, 5)
    assert not counts(marks, C, 5)
