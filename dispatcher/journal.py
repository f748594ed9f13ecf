"""The journal as a pure fold: entries of one partition in log order -> what its owner must know.

How it works. Each owner of a partition is a *session*. A CLAIM makes its session the owner; from there
on an older session may only finish what it had started before. So two readers of the same log agree
on who ran what, whatever each of them believed while it wrote, and a frozen owner that wakes up
changes nothing (P13). A SNAP stands for all entries before it.
"""

from collections.abc import Iterable

from headrace.schemas.journal import LOST, Claim, Entry, InFlight, Release, SessionId, Snap, Work


class JournalState:
    """State of one partition after the entries applied so far."""

    def __init__(self) -> None:
        self.owner: SessionId | None = None
        self.watermark = 0
        self.done: set[int] = set()
        self.in_flight: dict[int, InFlight] = {}
        self.lost: dict[int, int] = {}
        """Offset -> attempt of calls that their own process cut short: to be run again."""
        self.released: set[SessionId] = set()

    def apply(self, entry: Entry) -> list[int]:
        """Take the next entry of the log; returns the offsets it finished or gave up."""
        match entry:
            case Claim():
                self.owner = entry.session
                return []
            case Work():
                return self._work(entry)
            case Snap():
                self._snap(entry)
                return []
            case Release():
                self.released.add(entry.session)
                return []

    def _work(self, entry: Work) -> list[int]:
        if self.owner is None:
            # The CLAIM that made it owner is older than the log: retention took it.
            self.owner = entry.session
        owns = entry.session == self.owner
        if owns:
            for offset, attempt in entry.started:
                self.in_flight[offset] = InFlight(offset, attempt, entry.session)
                self.lost.pop(offset, None)
        ended = []
        for offset, how in entry.done:
            call = self.in_flight.get(offset)
            if not owns and (call is None or call.session != entry.session):
                continue
            self.in_flight.pop(offset, None)
            ended.append(offset)
            if how == LOST:
                self.lost[offset] = call.attempt if call else 0
            else:
                self.done.add(offset)
        return ended

    def _snap(self, entry: Snap) -> None:
        if self.owner not in (None, entry.session):
            return
        self.owner = entry.session
        self.watermark = entry.watermark
        self.done = {offset for start, end in entry.done for offset in range(start, end)}
        self.in_flight = {call.offset: call for call in entry.in_flight}
        self.lost = {}


def fold(entries: Iterable[Entry]) -> JournalState:
    """The state after `entries`."""
    state = JournalState()
    for entry in entries:
        state.apply(entry)
    return state
