"""Which letters are chosen, in bounded memory."""

import pytest

from headrace.cli.dlq.selection import Filter, Newest, Pending
from headrace.cli.dlq.when import moment
from headrace.schemas.letters import Letter, Mark
from headrace.schemas.names import LaneName, RequestId
from headrace.schemas.retries import Source


def letter(offset: int, *, at_ms: int = 0, partition: int = 0, reason: str = "r") -> Letter:
    return Letter(
        id=RequestId(f"id{offset}"),
        partition=partition,
        offset=offset,
        at_ms=at_ms or offset,
        reason=reason,
        tenant="acme",
        model="gpt-4o",
        lane=LaneName("standard"),
        kind="",
        reply_topic="",
        source=Source("t", 0, offset, None, 0),
        history=(),
        replays=0,
        size=2,
        headers=(),
    )


def mark(offset: int) -> Mark:
    return Mark(RequestId(f"id{offset}"), offset, 1, "")


@pytest.mark.parametrize(
    ("wanted", "takes"),
    [
        (Filter(), True),
        (Filter(ids=frozenset(("id5",))), True),
        (Filter(ids=frozenset(("0:5",))), True),
        (Filter(ids=frozenset(("id6",))), False),
        (Filter(reasons=frozenset(("other",))), False),
        (Filter(tenant="ac*", model="gpt-*"), True),
        (Filter(tenant="acme", model="claude-*"), False),
        (Filter(since_ms=5, until_ms=6), True),
        (Filter(until_ms=5), False),
        (Filter(since_ms=6), False),
    ],
)
def test_all_that_a_filter_tells_must_hold(wanted: Filter, takes: bool) -> None:
    assert wanted.takes(letter(5)) is takes


def test_the_newest_are_kept_and_all_are_counted() -> None:
    newest = Newest(Filter(), 3)
    for offset in (4, 9, 1, 7, 8):
        newest.take(letter(offset), 0)
    assert [one.letter.offset for one in newest.chosen()] == [9, 8, 7]
    assert newest.matched == 5


def test_a_mark_says_that_its_letter_was_replayed_and_no_other() -> None:
    newest = Newest(Filter(), 3)
    newest.take(letter(1), 0)
    newest.take(letter(2), 0)
    newest.take(mark(1), 0)
    newest.take(mark(2), 1)
    assert [one.mark is not None for one in newest.chosen()] == [False, True]


def test_what_has_a_mark_is_not_pending() -> None:
    pending = Pending(Filter(), {0: 100, 1: 0}, {0: 120, 1: 3})
    for offset in (100, 107, 119):
        pending.take(letter(offset), 0)
    pending.take(letter(2, partition=1), 1)
    pending.take(mark(107), 0)
    pending.take(mark(5), 0)  # of a letter before the range
    assert pending.count() == 3
    assert [n for n in range(100, 120) if pending.holds(0, n)] == [100, 119]
    assert (pending.last(0), pending.last(1)) == (119, 2)


def test_what_has_a_mark_is_pending_again_where_that_is_wanted() -> None:
    pending = Pending(Filter(), {0: 0}, {0: 2}, again=True)
    pending.take(letter(0), 0)
    pending.take(mark(0), 0)
    assert pending.count() == 1


def test_ids_without_a_letter_are_known() -> None:
    pending = Pending(Filter(ids=frozenset(("id1", "0:2", "x"))), {0: 0}, {0: 9})
    for offset in range(4):
        pending.take(letter(offset), 0)
    assert pending.unseen == {"x"}
    assert pending.count() == 2


NOW_MS = 1_790_000_000_000


@pytest.mark.parametrize(
    ("text", "at_ms"),
    [
        ("2h", NOW_MS - 7_200_000),
        ("90s", NOW_MS - 90_000),
        ("1970-01-02", 86_400_000),
        ("1970-01-01T01:00+01:00", 0),
        ("1790000000001", NOW_MS + 1),
    ],
)
def test_times_are_read(text: str, at_ms: int) -> None:
    assert moment(text, NOW_MS) == at_ms


@pytest.mark.parametrize("text", ["", "2 h", "yesterday", "12"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no time"):
        moment(text, NOW_MS)
