"""One lane partition, its journal and the sessions that own it in turn, in memory.

Each step is one thing that may happen to a process: read, begin, end, write its journal, read it,
lose the partition, freeze, die, hand a request on to the delay partition. `Session` does what the shells
around `Tenure` do. Each step asserts what no order of steps may break.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from headrace.dispatcher.journal import JournalState, open_at
from headrace.schemas.journal import (
    LOST,
    Bury,
    Claim,
    Entry,
    Mark,
    ProcessId,
    Release,
    SessionId,
    Work,
    counts,
    process_of,
)
from support.dispatch import Record, session, tenure


@dataclass
class Partition:
    """The records (gaps are left by aborted transactions), the journal and the committed position."""

    offsets: list[int] = field(default_factory=list)
    journal: list[Entry] = field(default_factory=list)
    position: int = 0
    bookmark: str = ""
    answered: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    """Offset -> number of outcomes written."""
    told: dict[int, SessionId] = field(default_factory=dict)
    """Offset -> session that has journaled its end while nobody took it for dead."""
    attempts: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    """Offset -> highest attempt that was journaled by a session that nobody took for dead."""
    dead: set[ProcessId] = field(default_factory=set)
    """Processes that do not beat: killed, or frozen."""
    handed_on: list[tuple[int, SessionId, int | None]] = field(default_factory=list)
    """The delay partition: of which offset, by whom; the epoch of a mark, None for what was handed on."""
    sessions: list["Session"] = field(default_factory=list)
    owner: "Session | None" = None
    """The member of the group that holds the partition."""

    def produce(self, gap: int) -> None:
        """Append a record after `gap` offsets that hold none."""
        self.offsets.append(self.offsets[-1] + 1 + gap if self.offsets else gap)

    def chains(self, offset: int, end: int | None = None) -> int:
        """How many records before `end` of the delay partition go on with the request at `offset`."""
        marks: list[Mark] = []
        chains = 0
        for at, (source, by, epoch) in enumerate(self.handed_on[:end]):
            if source != offset:
                continue
            if epoch is not None:
                marks.append(Mark(str(source), at, by, epoch, 0))
            else:
                chains += counts(marks, by, at)
        return chains

    def settled(self, offset: int) -> bool:
        """Whether the request at `offset` has an outcome, or goes on elsewhere."""
        return bool(self.answered[offset] or self.chains(offset))

    def alive(self, process: ProcessId) -> bool:
        """As the fleet sees it."""
        return process not in self.dead

    def running(self, offset: int, but: "Session") -> list["Session"]:
        """Other sessions of living processes that call for `offset`."""
        return [s for s in self.sessions if s is not but and not s.suspect and offset in s.calls]

    def claim(self, process: str) -> "Session":
        """A process becomes the owner; the replay from the bookmark equals the one from the start."""
        name = session(process, len(self.sessions))
        self.journal.append(Claim(name, process_of(name)))
        start, owner = open_at(self.bookmark, len(self.journal) - 1)
        state = replay(self.journal[start:], owner)
        whole = replay(self.journal, None)
        position = max(self.position, state.watermark)
        assert state.watermark == whole.watermark
        assert known(state, position) == known(whole, position)
        assert not any(offset < position and not self.settled(offset) for offset in self.offsets)
        member = Session(self, name, state, position)
        self.sessions.append(member)
        self.owner = member
        return member


def replay(entries: Iterable[Entry], owner: SessionId | None) -> JournalState:
    """The state after `entries`."""
    state = JournalState(owner)
    for entry in entries:
        state.apply(entry)
    return state


def known(state: JournalState, position: int) -> object:
    """What a state says of the offsets from `position` on."""
    running, lost = state.unfinished()
    return (
        {offset for offset in state.done if offset >= position},
        {call for call in running if call.offset >= position},
        {offset: attempt for offset, attempt in lost.items() if offset >= position},
        {offset: crashes for offset, crashes in state.crashes.items() if offset >= position},
        {offset for offset in state.trials if offset >= position},
    )


class Session:
    """One owner of the partition, as its process sees the world."""

    def __init__(
        self, partition: Partition, name: SessionId, state: JournalState, position: int
    ) -> None:
        self.world = partition
        self.tenure = tenure(
            position=position, of=name, inherited=state, epoch=len(partition.journal) - 1
        )
        self.tenure.bookmark = partition.bookmark
        self.tenure.followed = self.read_to = len(partition.journal)
        self.waiting: list[int] = []
        self.calls: dict[int, int] = {}
        """Offset -> attempt of calls that run."""
        self.pending = Work(name, [], [])
        self.suspect = False
        """Whether others may have counted its process dead at any time."""
        self.killed = False

    @property
    def name(self) -> SessionId:
        """Its own name."""
        return self.tenure.session

    def read(self) -> None:
        """Take the next record of the partition."""
        ahead = [o for o in self.world.offsets if o >= self.tenure.tracker.next_offset]
        if ahead and self.tenure.owned:
            self._take(ahead[0])

    def begin(self, choice: int) -> None:
        """Start a call of a waiting request."""
        if not self.waiting or not self.tenure.owned:
            return
        offset = self.waiting.pop(choice % len(self.waiting))
        self._start(offset, abs(self.tenure.lost.get(offset, 0)) + 1)

    def again(self, choice: int) -> None:
        """Repeat a call from memory, owner or not."""
        if self.calls:
            offset = sorted(self.calls)[choice % len(self.calls)]
            self._start(offset, self.calls[offset] + 1)

    def finish(self, choice: int) -> None:
        """A call ends and its outcome is acknowledged."""
        if not self.calls:
            return
        offset = sorted(self.calls)[choice % len(self.calls)]
        del self.calls[offset]
        self.world.answered[offset] += 1
        self.tenure.finished(offset)
        self.pending.done.append((offset, "completed"))

    def rest(self, choice: int) -> None:
        """A call ends, and the next one is waited for in memory."""
        if self.calls:
            offset = sorted(self.calls)[choice % len(self.calls)]
            self.tenure.started(offset, -self.calls[offset])
            self.pending.started.append((offset, -self.calls[offset]))

    def hand_on(self, choice: int) -> None:
        """A call ends, and its next one is the delay partition's, if a successor must know of the first."""
        if not self.calls:
            return
        offset = sorted(self.calls)[choice % len(self.calls)]
        del self.calls[offset]
        if not self._confirmed():
            self.tenure.cut_short(offset)
            self.pending.done.append((offset, LOST))
            return
        self.world.handed_on.append((offset, self.name, None))
        self.tenure.finished(offset)
        self.pending.done.append((offset, "delayed"))

    def flush(self, *, snap: bool) -> None:
        """Write what is pending, and a SNAP made in the same instant."""
        if self.pending.started or self.pending.done:
            self.world.journal.append(self.pending)
            if not self.suspect:
                ended = [offset for offset, how in self.pending.done if how != LOST]
                self.world.told |= dict.fromkeys(ended, self.name)
                for offset, attempt in self.pending.started:
                    self.world.attempts[offset] = max(self.world.attempts[offset], abs(attempt))
            self.pending = Work(self.name, [], [])
        if snap:
            self.world.journal.append(self.tenure.snap())

    def follow(self, count: int) -> None:
        """Read on in the journal."""
        for entry in self.world.journal[self.read_to : self.read_to + count]:
            freed = self.tenure.follow(entry, self.read_to)
            self.read_to += 1
            for record in freed:
                self._take(record.offset)

    def bury(self) -> None:
        """Stop waiting for the dead; what they wrote before the BURY still counts."""
        buried = self.tenure.to_bury(self.world.alive)
        if buried:
            self.world.journal.append(Bury(self.name, buried))

    def commit(self) -> None:
        """Commit, if the group still knows this session as the owner."""
        if self.world.owner is not self:
            return
        position = self.tenure.tracker.watermark
        assert not any(o < position and not self.world.settled(o) for o in self.world.offsets)
        self.world.position, self.world.bookmark = position, self.tenure.bookmark

    def revoke(self) -> None:
        """Give the partition back; what runs goes on running."""
        was_owned = self.tenure.owned
        self.tenure.owned = False
        self.waiting = []
        self.flush(snap=True)
        self.tenure.certain = was_owned and self._is_newest()
        self.commit()
        self.world.owner = None

    def freeze(self) -> None:
        """Stand still for so long that the group and the fleet count it out."""
        self.suspect = True
        self.world.dead.add(process_of(self.name))
        if self.world.owner is self:
            self.world.owner = None

    def kill(self) -> None:
        """The process ends here; nothing pending is written."""
        self.freeze()
        self.killed = True
        self.calls, self.waiting, self.pending = {}, [], Work(self.name, [], [])

    def drain(self) -> None:
        """The end of a grace: calls that are left are cut short, and the session is released."""
        for offset in list(self.calls):
            del self.calls[offset]
            self.tenure.cut_short(offset)
            self.pending.done.append((offset, LOST))
        self.flush(snap=False)
        self.world.journal.append(Release(self.name))

    def _take(self, offset: int) -> None:
        if not self.tenure.owned or not self.tenure.admit(Record(offset=offset)):
            return
        if offset in self.tenure.lost and self._goes_on(offset):
            self.tenure.finished(offset)
            self.pending.done.append((offset, "delayed"))
        else:
            self.waiting.append(offset)

    def _is_newest(self) -> bool:
        """Whether nobody has claimed since, as reading the journal up to the own SNAP tells."""
        claims = [entry for entry in self.world.journal if isinstance(entry, Claim)]
        return claims[-1].session == self.name

    def _confirmed(self) -> bool:
        if self.tenure.owned:
            self.flush(snap=False)
            self.follow(len(self.world.journal))
        return self.tenure.owned or self.tenure.certain

    def _goes_on(self, offset: int) -> bool:
        """Mark the delay partition, and look whether the request was handed on before."""
        self.world.handed_on.append((offset, self.name, self.tenure.epoch))
        return bool(self.world.chains(offset, len(self.world.handed_on)))

    def _start(self, offset: int, attempt: int) -> None:
        if not self.suspect:
            assert not self.world.running(offset, but=self), f"{offset} runs elsewhere"
            assert offset not in self.world.told, f"{offset} is known to be done"
            assert not self.world.chains(offset), f"{offset} goes on in the delay partition"
            assert attempt > self.world.attempts[offset], f"attempt {attempt} of {offset} again"
        self.calls[offset] = attempt
        self.tenure.started(offset, attempt)
        self.pending.started.append((offset, attempt))
