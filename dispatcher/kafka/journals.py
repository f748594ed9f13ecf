"""Writes the journal: what begins and ends is gathered for a few milliseconds, one record a partition.

Rounds follow one another, so the entries of a partition stay in order even when a send is repeated. A
SNAP is made in the same instant as the WORK before it is taken, so it never forgets what follows.
"""

import asyncio

from headrace.dispatcher.kafka.outbox import Outbox
from headrace.dispatcher.tenure import Tenure
from headrace.schemas.journal import Claim, Release, Snap, Work, encode


class JournalWriter:
    """Pending entries of all tenures of this process."""

    def __init__(self, outbox: Outbox, linger_s: float) -> None:
        self._outbox = outbox
        self._linger_s = linger_s
        self._work: dict[Tenure, Work] = {}
        self._snaps: dict[Tenure, None] = {}
        self._wake = asyncio.Event()
        self._round = asyncio.Lock()

    async def claim(self, tenure_journal: str, partition: int, claim: Claim) -> int:
        """Append a CLAIM; returns its offset, the epoch of the tenure."""
        ack = await self._outbox.send(tenure_journal, encode(claim), partition=partition)
        return ack.offset

    def started(self, tenure: Tenure, offset: int, attempt: int) -> None:
        """A call begins."""
        tenure.started(offset, attempt)
        self._pending(tenure).started.append((offset, attempt))

    def finished(self, tenure: Tenure, offset: int, how: str) -> None:
        """An outcome is acknowledged."""
        tenure.finished(offset)
        self._pending(tenure).done.append((offset, how))

    def cut_short(self, tenure: Tenure, offset: int, how: str) -> None:
        """A call is given up by its own process: the next owner runs it again."""
        tenure.cut_short(offset)
        self._pending(tenure).done.append((offset, how))

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
        """Write what is pending; returns once Kafka has acknowledged it."""
        async with self._round:
            self._wake.clear()
            work, self._work = self._work, {}
            snaps, self._snaps = self._snaps, {}
            sends = [self._send(tenure, entry) for tenure, entry in work.items()]
            sends += [self._send(tenure, tenure.snap()) for tenure in snaps]
            await asyncio.gather(*sends)

    async def _send(self, tenure: Tenure, entry: Work | Snap) -> None:
        await self._outbox.send(tenure.journal, encode(entry), partition=tenure.partition)

    def _pending(self, tenure: Tenure) -> Work:
        work = self._work.get(tenure)
        if work is None:
            work = self._work[tenure] = Work(tenure.session, [], [])
            self._wake.set()
        return work
