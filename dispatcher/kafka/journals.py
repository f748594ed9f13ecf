"""Writes the journal: what begins and ends is gathered for a few milliseconds, one record a partition.

Rounds follow one another, so the entries of a partition stay in order even when a send is repeated. A
SNAP is made in the same instant as the WORK before it is taken, so it never forgets what follows.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from msgspec.structs import replace

from headrace.dispatcher.journal import in_parts
from headrace.dispatcher.kafka.outbox import Outbox
from headrace.dispatcher.tenure import Tenure
from headrace.schemas.journal import LOST, Bury, Claim, Mark, Release, Snap, Work, encode

_DECIDED_S = 5.0
"""A revoke flushes, commits, and reads back for 2 s at most."""

ReadTo = Callable[[Tenure, int], Awaitable[None]]
"""Returns when the tenure's journal was read up to an offset (exclusive), or is not followed any more."""


class JournalWriter:
    """Pending entries of all tenures of this process."""

    def __init__(self, outbox: Outbox, linger_s: float, read_to: ReadTo) -> None:
        self._outbox = outbox
        self._read_to = read_to
        self._linger_s = linger_s
        self._work: dict[Tenure, Work] = {}
        self._snaps: dict[Tenure, None] = {}
        self._buried: dict[Tenure, list[int]] = {}
        self._wake = asyncio.Event()
        self._round = asyncio.Lock()
        self._next: asyncio.Task[None] | None = None
        """The round that takes what is pending now, and has not begun."""

    async def claim(self, tenure_journal: str, partition: int, claim: Claim) -> int:
        """Append a CLAIM; returns its offset, the epoch of the tenure."""
        ack = await self._outbox.send(tenure_journal, encode(claim), partition=partition)
        return ack.offset

    def started(self, tenure: Tenure, offset: int, progress: int) -> None:
        """A call begins, or this session has it in hand without one."""
        if offset in tenure.parked:
            return  # no successor reads it
        tenure.started(offset, progress)
        self._pending(tenure).started.append((offset, progress))

    def tried(self, tenure: Tenure, offset: int, *, begins: bool) -> None:
        """The trial of a suspect begins, or is over."""
        tenure.tried(offset, begins)
        self._pending(tenure).trials.append((offset, begins))

    def marked(self, tenure: Tenure, mark: Mark, now_ms: int) -> None:
        """A mark was read; its offset is done."""
        tenure.marks.add(mark, now_ms)
        self._pending(tenure).marks.append(mark)
        self.finished(tenure, mark.offset, "dropped")

    def finished(self, tenure: Tenure, offset: int, how: str) -> None:
        """An outcome is acknowledged."""
        if offset in tenure.parked:
            tenure.parked.discard(offset)
            return
        tenure.finished(offset)
        self._pending(tenure).done.append((offset, how))

    def parked(self, tenure: Tenure, offset: int) -> None:
        """A copy is in a delay topic: the partition goes on, and the call too."""
        self.finished(tenure, offset, "parked")
        tenure.parked.add(offset)

    def give_up(self, tenure: Tenure, offset: int) -> None:
        """What this process began it ends without an outcome: the next owner runs it again."""
        if offset in tenure.running:
            tenure.cut_short(offset)
            self._pending(tenure).done.append((offset, LOST))

    def bury(self, tenure: Tenure, offsets: list[int]) -> None:
        """Wait no longer for these of dead processes; they are free once the entry was read back."""
        self._buried.setdefault(tenure, []).extend(offsets)
        self._wake.set()

    async def confirmed(self, tenure: Tenure) -> bool:
        """Whether all that this session began stands in the journal before any other's CLAIM.

        While it owns the partition that is found out by reading back; else the revoke tells it, and is
        waited for, but not for ever: it may stand still with Kafka.
        """
        if tenure.owned:
            await self.read_back(tenure)
        if not tenure.owned:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_DECIDED_S):
                    await tenure.decided.wait()
        return tenure.owned or tenure.certain

    async def read_back(self, tenure: Tenure) -> None:
        """Write what is pending, and read the journal up to it."""
        await self.flush()
        await self._read_to(tenure, tenure.written + 1)

    def want_snap(self, tenure: Tenure) -> None:
        """Write a SNAP with the next round."""
        self._snaps[tenure] = None
        self._wake.set()

    async def release(self, tenure: Tenure) -> None:
        """Say that nothing of this session is in flight; what is pending must be flushed before."""
        entry = encode(Release(tenure.session))
        await self._outbox.send(tenure.journal, entry, partition=tenure.partition)

    async def run(self) -> None:
        """Write a round whenever something is pending, until cancelled."""
        while True:
            await self._wake.wait()
            await asyncio.sleep(self._linger_s)
            await self.flush()

    async def flush(self) -> None:
        """Write what is pending; returns once Kafka has acknowledged it.

        All who ask while a round is on its way share the next one: a round each would make hundreds
        of hand-overs a second wait behind one another.
        """
        if self._next is None:
            self._next = asyncio.ensure_future(self._write())
            # Where all who asked were cancelled meanwhile, nobody is there to be told.
            self._next.add_done_callback(lambda done: done.cancelled() or done.exception())
        await asyncio.shield(self._next)

    async def _write(self) -> None:
        async with self._round:
            self._next = None
            self._wake.clear()
            work, self._work = self._work, {}
            snaps, self._snaps = self._snaps, {}
            buried, self._buried = self._buried, {}
            sends = [
                self._send(t, replace(entry, read_to=t.tracker.next_offset))
                for t, entry in work.items()
            ]
            sends += [self._send(t, Bury(t.session, offsets)) for t, offsets in buried.items()]
            told = [(tenure, tenure.snap()) for tenure in snaps]
            await asyncio.gather(*sends)
            await asyncio.gather(*(self._send(tenure, snap) for tenure, snap in told))

    async def _send(self, tenure: Tenure, entry: Work | Bury | Snap) -> None:
        for part in in_parts(entry):
            ack = await self._outbox.send(tenure.journal, encode(part), partition=tenure.partition)
            tenure.written = max(tenure.written, ack.offset)

    def _pending(self, tenure: Tenure) -> Work:
        work = self._work.get(tenure)
        if work is None:
            work = self._work[tenure] = Work(tenure.session, [], [], [], [])
            self._wake.set()
        return work
