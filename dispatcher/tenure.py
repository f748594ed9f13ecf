"""One session's ownership of one lane or delay partition: what it read, runs, waits for and has done.

How it works. A tenure begins with a CLAIM and ends with a rebalance; a new assignment, even to the same
process, is a new tenure. Calls that an earlier tenure started and may still be running are *elders*:
their records are held, not run, until the journal says that they ended, or their process is dead; then
they are *ambiguous* and run again as the next attempt. No I/O.
"""

from collections.abc import Callable, Collection
from typing import Protocol

from headrace.dispatcher.journal import bookmark
from headrace.dispatcher.offsets import OffsetTracker
from headrace.schemas.journal import (
    LOST,
    Claim,
    Entry,
    InFlight,
    ProcessId,
    Release,
    SessionId,
    Snap,
    Work,
    process_of,
)
from headrace.schemas.names import LaneName
from headrace.schemas.records import Headers


class SourceRecord(Protocol):
    """A Kafka record as the consumer gives it; `timestamp` is epoch ms."""

    @property
    def topic(self) -> str: ...
    @property
    def partition(self) -> int: ...
    @property
    def offset(self) -> int: ...
    @property
    def timestamp(self) -> int: ...
    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def headers(self) -> Headers: ...


class Tenure:
    """Ownership of `topic`/`partition` by `session`, from `position` on."""

    def __init__(
        self,
        *,
        topic: str,
        partition: int,
        journal: str,
        lane: LaneName,
        delay_ms: int,
        session: SessionId,
        position: int,
        done: Collection[int] = (),
        elders: Collection[InFlight] = (),
        lost: dict[int, int] | None = None,
        owned: bool = True,
        followed: int = 0,
        bookmark: str = "",
    ) -> None:
        """`delay_ms` is the constant delay of a delay topic, 0 on a lane.

        `followed` is the journal offset up to which the journal was read, exclusive; `bookmark` where
        this reading began.
        """
        self.topic = topic
        self.partition = partition
        self.journal = journal
        self.lane = lane
        self.delay_ms = delay_ms
        self.session = session
        self.owned = owned
        self.tracker = OffsetTracker(position, done)
        self.running: dict[int, int] = {}
        """Offset -> attempt of what this session started and has not finished."""
        self.elders = {call.offset: call for call in elders if call.offset >= position}
        self.ambiguous: dict[int, int] = {o: a for o, a in (lost or {}).items() if o >= position}
        """Offset -> attempt that was cut short and not run again yet: the next run is the next attempt."""
        self._held: dict[int, SourceRecord] = {}
        self._unfinished: dict[int, int] = {}
        """Offset -> timestamp of what was read and has no outcome, oldest first."""
        self._freed: set[int] = set()
        """Offsets that were held and may be admitted once more, now to run."""
        self.followed = followed
        self.bookmark = bookmark
        """Where a successor begins to read to meet a SNAP that counts; see `follow`."""
        self.touched = False
        """Whether anything ended since the last SNAP was asked for."""

    def admit(self, record: SourceRecord) -> bool:
        """Take a record that was read, or that was held and is free; True if it is to be run now.

        False if it is done, must be held, or was seen before.
        """
        if record.offset in self._freed:
            self._freed.discard(record.offset)
            return True
        if not self.tracker.read(record.offset):
            return False
        self._unfinished[record.offset] = record.timestamp
        if record.offset in self.elders:
            self._held[record.offset] = record
            return False
        return True

    def oldest_ms(self) -> int | None:
        """Timestamp of the oldest record that was read and has no outcome yet."""
        return next(iter(self._unfinished.values()), None)

    def started(self, offset: int, attempt: int) -> None:
        """A call for `offset` begins."""
        self.running[offset] = attempt
        self.ambiguous.pop(offset, None)

    def finished(self, offset: int) -> None:
        """`offset` has its outcome, acknowledged by Kafka."""
        self.running.pop(offset, None)
        self.ambiguous.pop(offset, None)
        self._unfinished.pop(offset, None)
        self.tracker.finish(offset)
        self.touched = True

    def cut_short(self, offset: int) -> None:
        """The call for `offset` was given up: the next owner runs it again."""
        attempt = self.running.pop(offset, None)
        if attempt is not None:
            self.ambiguous[offset] = attempt

    def follow(self, entry: Entry, at: int) -> list[SourceRecord]:
        """The journal's entry at offset `at`; returns held records that must now run here.

        Of its own entries a session needs its SNAPs only: one that it reads back before anybody
        else's CLAIM counts, and a successor may begin to read where that SNAP's maker had read to.
        """
        freed: list[SourceRecord] = []
        match entry:
            case Snap() if entry.session == self.session and self.owned:
                self.bookmark = bookmark(entry.followed, self.session)
            case Claim() if entry.session != self.session:
                self.owned = False
            case Release():
                freed = self._orphan(lambda call: call.session == entry.session)
            case Work():
                freed = self._elder_work(entry)
        if self.owned:
            self.followed = at + 1
        return freed

    def bury(self, alive: Callable[[ProcessId], bool]) -> list[SourceRecord]:
        """Give up waiting for elders of dead processes; returns held records that must now run here."""
        return self._orphan(lambda call: not alive(process_of(call.session)))

    def _elder_work(self, entry: Work) -> list[SourceRecord]:
        freed: list[SourceRecord] = []
        for offset, attempt in entry.started:
            call = self.elders.get(offset)
            if call is not None and call.session == entry.session:
                self.elders[offset] = InFlight(offset, attempt, entry.session)
        for offset, how in entry.done:
            call = self.elders.get(offset)
            if call is None or call.session != entry.session:
                continue
            if how == LOST:
                freed += self._orphan(lambda c, gone=call: c is gone)  # type: ignore[misc]
            else:
                del self.elders[offset]
                self._held.pop(offset, None)
                self._unfinished.pop(offset, None)
                self.tracker.finish(offset)
        return freed

    def _orphan(self, condition: Callable[[InFlight], bool]) -> list[SourceRecord]:
        freed = []
        for call in [call for call in self.elders.values() if condition(call)]:
            del self.elders[call.offset]
            self.ambiguous[call.offset] = call.attempt
            record = self._held.pop(call.offset, None)
            if record is not None:
                self._freed.add(record.offset)
                freed.append(record)
        return freed

    def snap(self) -> Snap:
        """Everything a successor must know. Wanted after a CLAIM of another too: it is then ignored."""
        running = [
            InFlight(offset, attempt, self.session) for offset, attempt in self.running.items()
        ]
        return Snap(
            self.session,
            self.tracker.watermark,
            self.tracker.done_ranges(),
            running + list(self.elders.values()),
            list(self.ambiguous.items()),
            self.followed,
        )
