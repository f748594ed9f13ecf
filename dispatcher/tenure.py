"""One session's ownership of one lane or delay partition: what it read, runs, waits for and has done.

How it works. A tenure begins with a CLAIM and ends with a rebalance; a new assignment, even to the same
process, is a new tenure. Calls that an earlier tenure started and may still be running are *elders*:
their records are held, not run, until the journal says that they ended, or their process is dead. Then
they are buried: once the BURY stands in the journal no end of theirs counts any more, and the records
are *lost ones*, which `recovery` looks into before they run again. No I/O.
"""

import asyncio
from collections.abc import Callable, Collection

from headrace.dispatcher.journal import JournalState, after_crash, bookmark
from headrace.dispatcher.marks import Marks
from headrace.dispatcher.offsets import OffsetTracker
from headrace.dispatcher.seen import FEW, GENERATION, Seen
from headrace.dispatcher.source_record import SourceRecord
from headrace.schemas.journal import (
    LOST,
    Bury,
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


class Tenure:
    """Ownership of `topic`/`partition` by `session`, from `position` on."""

    replaced = False
    """Whether another has claimed, as the journal tells."""
    certain = False
    """Of a session that is over: whether all it began was in the journal before another's CLAIM."""
    astray = False
    """Whether the log that was read is not the one that is there now."""
    forsaken = False
    """Whether others may have taken this process for dead after it lost the partition."""

    def __init__(
        self,
        *,
        topic: str,
        partition: int,
        journal: str,
        lane: LaneName,
        delay_ms: int,
        session: SessionId,
        epoch: int,
        position: int,
        inherited: JournalState | None = None,
        owned: bool = True,
        followed: int = 0,
        bookmark: str = "",
        careful_until: int = 0,
    ) -> None:
        """`delay_ms` is the constant delay of a delay topic, 0 on a lane; `epoch` the offset of the CLAIM.

        `inherited` is what the journal tells of earlier owners. `followed` is the journal offset up to
        which it was read, exclusive; `bookmark` where this reading began. Records below
        `careful_until` may have killed the owner before.
        """
        past = inherited or JournalState()
        elders, lost = past.unfinished()
        self.topic = topic
        self.partition = partition
        self.journal = journal
        self.lane = lane
        self.delay_ms = delay_ms
        self.session = session
        self.epoch = epoch
        self.owned = owned
        self.decided = asyncio.Event()
        self.decided.set()
        """Not set while it is being found out whether the end is `certain`."""
        self.tracker = OffsetTracker(position, past.done)
        self.running: dict[int, int] = {}
        """Offset -> progress of what this session started and has not finished."""
        self.elders = {call.offset: call for call in elders if call.offset >= position}
        self._inherit(past, lost, position)
        self.careful_until = careful_until
        self.parked: set[int] = set()
        """Offsets that are done for their partition while their calls run on."""
        self.seen = Seen(FEW if delay_ms else GENERATION)
        self._held: dict[int, SourceRecord] = {}
        self._burying: set[int] = set()
        self.stamps: dict[int, int] = {}
        """Offset -> timestamp of what was read and is not below the watermark, oldest first."""
        self.read_out_ms = 0
        """When nothing of it was left to read last; see `lag`."""
        self._freed: set[int] = set()
        """Offsets that were held and may be admitted once more, now to run."""
        self.followed = followed
        self.bookmark = bookmark
        """Where a successor begins to read to meet a SNAP that counts; see `follow`."""
        self.written = 0
        """Journal offset of the newest entry of this session that Kafka has acknowledged."""
        self.touched = False
        """Whether anything ended since the last SNAP was asked for."""

    def _inherit(self, past: JournalState, lost: dict[int, int], position: int) -> None:
        self.lost: dict[int, int] = {o: a for o, a in lost.items() if o >= position}
        """Offset -> progress of what was cut short and has not run again yet."""
        self.crashes = {o: n for o, n in past.crashes.items() if o >= position}
        """Offset -> how many processes died with it in hand, or `CONVICTED`."""
        self.trials = {offset for offset in past.trials if offset >= position}
        self._passed = past.passed
        self.marks = Marks(past.marks)
        """Of a delay partition: whose hand-overs count from where on."""

    def resign(self) -> None:
        """The group takes the partition away: what is `certain` is now found out, up to `decided.set()`."""
        self.owned = False
        self.decided.clear()

    def adopt(self, before: "Tenure") -> None:
        """Take over from an earlier tenure of this process what the journal did not take from it.

        It had been replaced without knowing it; what it began after that counts for nobody else.
        """
        for offset in before.tracker.done_offsets():
            self.elders.pop(offset, None)
            self.tracker.finish(offset)
        for offset, progress in before.running.items():
            if offset >= self.tracker.watermark:
                self.lost.pop(offset, None)
                self.elders[offset] = InFlight(offset, progress, before.session)

    def admit(self, record: SourceRecord) -> bool:
        """Take a record that was read, or that was held and is free; True if it is to be run now.

        False if it is done, must be held, or was seen before.
        """
        if record.offset in self._freed:
            self._freed.discard(record.offset)
            return True
        unread = record.offset >= self.tracker.next_offset
        open_now = self.tracker.read(record.offset)
        if unread:
            self.stamps[record.offset] = record.timestamp
        if not open_now:
            self._pass()
            return False
        if record.offset in self.elders:
            self._held[record.offset] = record
            return False
        return True

    def suspicious(self, offset: int) -> bool:
        """Whether the record may not be taken as any other: it was lost, or a process died of its reader."""
        return offset in self.lost or offset < self.careful_until

    def begun(self, offset: int) -> bool:
        """Whether a record that was read is done, or has been called, here or by an elder."""
        return offset in self.running or offset in self.elders or self.tracker.is_done(offset)

    def oldest_ms(self) -> int | None:
        """Timestamp of the oldest record that was read and has no outcome yet."""
        return next(iter(self.stamps.values()), None)

    def started(self, offset: int, progress: int) -> None:
        """This session begins something for `offset`."""
        self.running[offset] = progress
        self.lost.pop(offset, None)

    def finished(self, offset: int) -> None:
        """`offset` has its outcome, acknowledged by Kafka."""
        self.running.pop(offset, None)
        self.lost.pop(offset, None)
        if self.crashes or self.trials:
            self.crashes.pop(offset, None)
            self.trials.discard(offset)
        self._finish(offset)
        self.touched = True

    def cut_short(self, offset: int) -> None:
        """What was begun for `offset` was given up: the next owner runs it again."""
        progress = self.running.pop(offset, None)
        if progress is not None:
            self.lost[offset] = progress

    def tried(self, offset: int, begins: bool) -> None:
        """The trial of a suspect begins, or is over."""
        (self.trials.add if begins else self.trials.discard)(offset)

    def follow(self, entry: Entry, at: int) -> list[SourceRecord]:
        """The journal's entry at offset `at`; returns held records that must now run here.

        Of its own entries a session needs its BURYs and SNAPs only: a SNAP that it reads back before
        anybody else's CLAIM counts, and a successor may begin to read where that SNAP's maker had read to.
        """
        freed: list[SourceRecord] = []
        match entry:
            case Snap() if entry.session == self.session and self.owned:
                self.bookmark = bookmark(entry.followed, self.session)
            case Bury() if entry.session == self.session and self.owned:
                freed = self._bury(entry.offsets)
            case Claim() if entry.session != self.session:
                self.owned, self.replaced = False, True
            case Release():
                freed = self._free([c for c in self.elders.values() if c.session == entry.session])
            case Work():
                freed = self._elder_work(entry)
        if self.owned:
            self.followed = at + 1
        return freed

    def to_bury(self, alive: Callable[[ProcessId], bool]) -> list[int]:
        """Elders of dead processes, each once: what a BURY is to be written for."""
        dead = [
            call.offset
            for call in self.elders.values()
            if call.offset not in self._burying and not alive(process_of(call.session))
        ]
        self._burying.update(dead)
        return dead

    def _bury(self, offsets: Collection[int]) -> list[SourceRecord]:
        calls = [self.elders[offset] for offset in offsets if offset in self.elders]
        for call in calls:
            on_trial = call.offset in self.trials
            crashes = after_crash(self.crashes.get(call.offset, 0), call.attempt, on_trial)
            if crashes:
                self.crashes[call.offset] = crashes
            self.trials.discard(call.offset)
        return self._free(calls)

    def _elder_work(self, entry: Work) -> list[SourceRecord]:
        freed: list[SourceRecord] = []
        for offset, attempt in entry.started:
            call = self.elders.get(offset)
            if call is not None and call.session == entry.session:
                self.elders[offset] = InFlight(offset, attempt, entry.session)
        for offset, begins in entry.trials:
            call = self.elders.get(offset)
            if call is not None and call.session == entry.session:
                self.tried(offset, begins)
        for offset, how in entry.done:
            call = self.elders.get(offset)
            if call is None or call.session != entry.session:
                continue
            self.trials.discard(offset)
            if how == LOST:
                freed += self._free([call])
            else:
                del self.elders[offset]
                self.crashes.pop(offset, None)
                self._held.pop(offset, None)
                self._finish(offset)
        return freed

    def _free(self, calls: Collection[InFlight]) -> list[SourceRecord]:
        """These run elsewhere no more; returns their records, where they were read."""
        freed = []
        for call in calls:
            del self.elders[call.offset]
            self.lost[call.offset] = call.attempt
            record = self._held.pop(call.offset, None)
            if record is not None:
                self._freed.add(record.offset)
                freed.append(record)
        return freed

    def _finish(self, offset: int) -> None:
        self.tracker.finish(offset)
        self._pass()

    def _pass(self) -> None:
        stamps, watermark = self.stamps, self.tracker.watermark
        while stamps and (first := next(iter(stamps))) < watermark:
            self._passed = (first, stamps.pop(first))

    def snap(self) -> Snap:
        """Everything a successor must know. Wanted after a CLAIM of another too: it is then ignored."""
        running = [
            InFlight(offset, progress, self.session) for offset, progress in self.running.items()
        ]
        return Snap(
            self.session,
            self.tracker.watermark,
            self.tracker.done_ranges(),
            running + list(self.elders.values()),
            list(self.lost.items()),
            self.followed,
            not self.owned,
            self._passed,
            list(self.crashes.items()),
            list(self.trials),
            self.marks.all(),
            self.tracker.next_offset,
        )
