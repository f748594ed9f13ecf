"""Marks of a delay partition: tens of thousands are told to successors, in entries that Kafka takes."""

from types import SimpleNamespace
from typing import cast

from headrace.dispatcher.journal import in_parts
from headrace.dispatcher.kafka.journals import JournalWriter
from headrace.dispatcher.kafka.outbox import Outbox
from headrace.dispatcher.marks import SWEEP_MS, Marks
from headrace.dispatcher.tenure import Tenure
from headrace.schemas.journal import (
    Claim,
    Mark,
    SessionId,
    Snap,
    Work,
    decode,
    place_of,
    process_of,
)
from support.dispatch import APPENDED_MS, session, tenure
from support.partition import replay

OWN = session("own")
CLAIM = Claim(OWN, process_of(OWN))
DAY_MS = 86_400_000
MANY = 20_000
A_BROKERS_LIMIT = 1_000_000


class Journal:
    """An outbox that keeps what was written to the journal."""

    def __init__(self) -> None:
        self.values: list[bytes] = []

    async def send(self, _topic: str, value: bytes, **_: object) -> SimpleNamespace:
        self.values.append(value)
        return SimpleNamespace(offset=len(self.values))


async def unread(_tenure: Tenure, _offset: int) -> None:
    """Nothing is read back."""


def mark(offset: int, of: SessionId = OWN) -> Mark:
    """A mark of a request that may wait for a day yet."""
    place = place_of("headrace.requests.standard", 12, 1_000_000 + offset)
    return Mark(place, offset, of, 1_000_000, APPENDED_MS + DAY_MS)


def writer() -> tuple[JournalWriter, Journal]:
    """A journal and who writes it."""
    journal = Journal()
    return JournalWriter(cast("Outbox", journal), 0, unread), journal


async def test_a_successor_knows_more_marks_than_one_entry_can_hold() -> None:
    """The entry was refused, and so was that of each successor: nobody could own the partition."""
    (journals, journal), owner = writer(), tenure(delay_ms=1_000)
    marks = [mark(offset) for offset in range(MANY)]
    for one in marks:
        owner.marks.add(one, APPENDED_MS)
    journals.want_snap(owner)
    await journals.flush()
    assert max(map(len, journal.values)) < A_BROKERS_LIMIT
    state = replay([CLAIM, *map(decode, journal.values)], None)
    assert state.marks == marks
    assert tenure(inherited=state).marks.all() == marks


async def test_as_many_may_be_met_at_once() -> None:
    (journals, journal), owner = writer(), tenure(delay_ms=1_000)
    marks = [mark(offset) for offset in range(MANY)]
    for one in marks:
        journals.marked(owner, one, APPENDED_MS)
    journals.want_snap(owner)
    await journals.flush()
    assert max(map(len, journal.values)) < A_BROKERS_LIMIT
    written = [CLAIM, *map(decode, journal.values)]
    assert replay(written, None).marks == marks
    assert replay(written, None).watermark == owner.tracker.watermark


def test_no_mark_is_forgotten_when_an_owner_dies_between_the_entries() -> None:
    first = Snap(OWN, 0, [], [], marks=[mark(offset) for offset in range(100)])
    later = Snap(OWN, 0, [], [], marks=[mark(offset) for offset in range(MANY)])
    parts = list(in_parts(later))
    for written in range(len(parts) + 1):
        known = replay([CLAIM, first, *parts[:written]], None).marks
        assert set(known) >= set(first.marks)
    assert set(known) == set(later.marks)


def test_marks_of_a_session_that_was_replaced_change_nothing() -> None:
    late = session("late")
    own, after = Snap(OWN, 0, [], [], marks=[mark(1)]), Claim(late, process_of(late))
    parts = in_parts(Snap(OWN, 0, [], [], marks=[mark(offset) for offset in range(MANY)]))
    assert replay([CLAIM, own, after, *parts], None).marks == [mark(1)]


def test_an_entry_with_few_marks_stays_one() -> None:
    work = Work(OWN, [(1, 1)], marks=[mark(1)])
    assert list(in_parts(work)) == [work]


def test_a_mark_is_forgotten_when_its_time_is_over() -> None:
    marks = Marks([mark(1)])
    marks.add(mark(2), APPENDED_MS)
    later = Mark("later", 3, OWN, 1, APPENDED_MS + 2 * DAY_MS)
    marks.add(later, APPENDED_MS + DAY_MS + SWEEP_MS)
    assert marks.all() == [later]
