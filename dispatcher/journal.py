"""The journal as a pure fold: entries of one partition in log order -> what its owner must know.

How it works. Each owner of a partition is a *session*. A CLAIM makes its session the owner; from there
on an older session may only finish what it had started before. So two readers of the same log agree
on who ran what, whatever each of them believed while it wrote, and a frozen owner that wakes up
changes nothing (P13).

A SNAP stands for all entries of its own session before it. What older sessions ended meanwhile may
stand before the SNAP and yet be missing in it, since its writer had not read it: such entries win over
the SNAP, and a reader begins where the SNAP's writer had read to, not at the SNAP.

A BURY of the owner ends the time in which a dead process may still tell an end: what stands before it
counts, what stands behind it does not, whoever reads.
"""

from collections.abc import Iterator
from typing import NewType

from msgspec.structs import replace

from headrace.schemas.journal import (
    CONVICTED,
    LOST,
    Bury,
    Claim,
    Entry,
    InFlight,
    Mark,
    Release,
    SessionId,
    Snap,
    Work,
)

MARKS_AT_ONCE = 2_000
"""Marks in one entry: with the longest names they take 700 KB, and a broker's default limit is 1 MB."""

Bookmark = NewType("Bookmark", str)
"""Where a successor begins to read: journal offset and the owner there. It travels with each commit."""


def bookmark(followed: int, owner: SessionId) -> Bookmark:
    """The bookmark that goes with a SNAP of `owner`, who had read the journal up to `followed`."""
    return Bookmark(f"{followed} {owner}")


def open_at(mark: str, claimed_at: int) -> tuple[int, SessionId | None]:
    """The offset to read from and the owner there; the journal's beginning if there is no bookmark.

    One beyond the own CLAIM, which stands at `claimed_at`, is of a journal that was created anew since.
    """
    offset, _, owner = mark.partition(" ")
    if not (offset.isdecimal() and offset.isascii() and owner) or int(offset) > claimed_at:
        return 0, None
    return int(offset), SessionId(owner)


class JournalState:
    """State of one partition after the entries applied so far."""

    def __init__(self, owner: SessionId | None = None) -> None:
        """`owner` of the partition where the reading begins; None: not known, all that is written counts."""
        self.owner = owner
        self.unclean = False
        """Whether the owner before the present one stopped without saying so."""
        self.watermark = 0
        self.read_to = 0
        """How far owners have read, as far as they have told."""
        self.passed: tuple[int, int] | None = None
        self.done: set[int] = set()
        self.in_flight: dict[int, InFlight] = {}
        self.lost: dict[int, int] = {}
        """Offset -> progress of calls that were cut short or buried: to be run again."""
        self.crashes: dict[int, int] = {}
        self.trials: set[int] = set()
        self.marks: list[Mark] = []
        self.released: set[SessionId] = set()
        self._handed_over = False
        self._repeated: dict[tuple[SessionId, int], int] = {}
        self._ended: dict[tuple[SessionId, int], str] = {}
        """What older sessions told of their offsets: the progress, and how it ended."""
        self._buried: set[int] = set()
        """Of older sessions, by the present owner: also what a SNAP is yet to tell as in flight."""

    def apply(self, entry: Entry) -> None:
        """Take the next entry of the log."""
        match entry:
            case Claim():
                self.unclean = self.owner is not None and not self._handed_over
                self.owner, self._handed_over = entry.session, False
                self._buried.clear()
            case Work():
                self._work(entry)
            case Bury():
                if self.owner in (None, entry.session):
                    for offset in entry.offsets:
                        self._bury(offset)
            case Snap():
                self._snap(entry)
            case Release():
                self.released.add(entry.session)

    def unfinished(self) -> tuple[list[InFlight], dict[int, int]]:
        """Calls that may still run, and offset -> progress of those that are lost."""
        running = [c for c in self.in_flight.values() if c.session not in self.released]
        given_up = [c for c in self.in_flight.values() if c.session in self.released]
        return running, self.lost | {call.offset: call.attempt for call in given_up}

    def _work(self, entry: Work) -> None:
        owns = self.owner in (None, entry.session)
        for offset, attempt in entry.started:
            if owns or self._runs(entry.session, offset):
                self._start(InFlight(offset, attempt, entry.session))
        for offset, begins in entry.trials:
            if owns or self._runs(entry.session, offset):
                (self.trials.add if begins else self.trials.discard)(offset)
        for offset, how in entry.done:
            if owns or self._runs(entry.session, offset):
                self._end(offset, how)
        if owns:
            self.marks += entry.marks
            self.read_to = max(self.read_to, entry.read_to)
        else:
            self._note(entry)

    def _note(self, entry: Work) -> None:
        for offset, progress in entry.started:
            if offset not in self._buried:
                self._repeated[entry.session, offset] = progress
        for offset, how in entry.done:
            if offset not in self._buried:
                self._ended[entry.session, offset] = how

    def _runs(self, session: SessionId, offset: int) -> bool:
        call = self.in_flight.get(offset)
        return call is not None and call.session == session

    def _start(self, call: InFlight) -> None:
        if call.offset in self.done:
            # Parked: its session may repeat the call, but a successor is not concerned any more.
            return
        self.in_flight[call.offset] = call
        self.lost.pop(call.offset, None)

    def _end(self, offset: int, how: str) -> None:
        call = self.in_flight.pop(offset, None)
        self.trials.discard(offset)
        if how == LOST:
            self.lost[offset] = call.attempt if call else 0
        else:
            self.lost.pop(offset, None)
            self.crashes.pop(offset, None)
            self.done.add(offset)

    def _bury(self, offset: int) -> None:
        self._buried.add(offset)
        call = self.in_flight.get(offset)
        if call is None or call.session == self.owner:
            return
        del self.in_flight[offset]
        self.lost[offset] = call.attempt
        crashes = after_crash(self.crashes.get(offset, 0), call.attempt, offset in self.trials)
        if crashes:
            self.crashes[offset] = crashes
        self.trials.discard(offset)

    def _snap(self, entry: Snap) -> None:
        if self.owner not in (None, entry.session):
            return
        self.owner = entry.session
        self._handed_over = entry.handed_over
        self.watermark = entry.watermark
        self.read_to = max(self.read_to, entry.read_to)
        self.passed = entry.passed
        self.done = {offset for start, end in entry.done for offset in range(start, end)}
        self.in_flight = {call.offset: call for call in entry.in_flight}
        self.lost = dict(entry.lost)
        self.crashes, self.trials = dict(entry.crashes), set(entry.trials)
        before = self.marks if entry.marks_before else []
        self.marks = list(dict.fromkeys([*before, *entry.marks]))
        for call in entry.in_flight:
            key = (call.session, call.offset)
            if key in self._repeated:
                self._start(InFlight(call.offset, self._repeated[key], call.session))
            if key in self._ended:
                self._end(call.offset, self._ended[key])
            elif call.offset in self._buried:
                self._bury(call.offset)
        self._repeated = {k: v for k, v in self._repeated.items() if k[1] >= entry.watermark}
        self._ended = {k: v for k, v in self._ended.items() if k[1] >= entry.watermark}
        self._buried = {offset for offset in self._buried if offset >= entry.watermark}


def in_parts(entry: Work | Bury | Snap) -> Iterator[Work | Bury | Snap]:
    """`entry` in records that a journal takes: what has many marks comes after WORKs that tell them.

    Each must be acknowledged before the next is sent: an entry counts only with all its marks.
    """
    marks = [] if isinstance(entry, Bury) else entry.marks
    if isinstance(entry, Bury) or len(marks) <= MARKS_AT_ONCE:
        yield entry
        return
    for first in range(0, len(marks), MARKS_AT_ONCE):
        yield Work(entry.session, marks=marks[first : first + MARKS_AT_ONCE])
    if isinstance(entry, Snap):
        yield replace(entry, marks=[], marks_before=True)
    else:
        yield replace(entry, marks=[])


def after_crash(crashes: int, progress: int, on_trial: bool) -> int:
    """How often processes have died with a record in hand, now that one more did.

    One whose call had ended, or was never begun, is above suspicion.
    """
    if on_trial:
        return CONVICTED
    return crashes + 1 if progress > 0 else crashes
