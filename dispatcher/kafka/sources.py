"""All consumers of a process as one place to poll: what they read comes together here."""

import asyncio
from asyncio import Future
from collections.abc import Sequence

from headrace.dispatcher.fleet import Fleet
from headrace.dispatcher.kafka.journals import JournalWriter
from headrace.dispatcher.kafka.source import Source
from headrace.dispatcher.lag import Behind
from headrace.dispatcher.metrics import Metrics
from headrace.dispatcher.ports import Clock
from headrace.dispatcher.source_record import SourceRecord
from headrace.dispatcher.tenure import Tenure
from headrace.schemas.names import LaneName

BURY_S = 0.25
"""How often calls of dead processes are looked for."""
MOST_ARRIVED = 500
"""Records that nobody has polled, beyond which no more are read."""

Arrivals = list[tuple[Tenure, Sequence[SourceRecord]]]


class AllSources:
    """The `Sources` port over several consumers."""

    def __init__(
        self,
        *,
        journals: JournalWriter,
        fleet: Fleet,
        clock: Clock,
        metrics: Metrics,
        commit_s: float,
        snap_s: float,
    ) -> None:
        self._metrics = metrics
        self._journals = journals
        self._fleet = fleet
        self._clock = clock
        self._commit_s = commit_s
        self._snap_s = snap_s
        self._sources: list[Source] = []
        self._inbox: Arrivals = []
        self._arrived = 0
        """Records in the inbox."""
        self._held: Arrivals = []
        self._waiter: Future[None] | None = None
        self._committing: asyncio.Task[None] | None = None
        self._lanes: dict[LaneName, Behind] = {}
        self._next_commit_s = 0.0
        self._next_snap_s = 0.0
        self._next_bury_s = 0.0

    def add(self, source: Source) -> None:
        """Poll this consumer too."""
        self._sources.append(source)

    def full(self) -> bool:
        """Whether what has arrived must be polled before more is read."""
        return self._arrived >= MOST_ARRIVED

    def arrived(self, tenure: Tenure, records: Sequence[SourceRecord]) -> None:
        """Records of a consumer; called from the loop's thread."""
        self._inbox.append((tenure, records))
        self._arrived += len(records)
        self.wake()

    def freed(self, tenure: Tenure, records: Sequence[SourceRecord]) -> None:
        """Held records whose call elsewhere is lost."""
        self._held.append((tenure, records))
        self.wake()

    async def poll(self, timeout_s: float) -> Arrivals:
        """Records that arrived; empty after `wake` or `timeout_s`."""
        for source in self._sources:
            source.resume()
        if not self._inbox:
            loop = asyncio.get_running_loop()
            self._waiter = loop.create_future()
            alarm = loop.call_later(timeout_s, self.wake)
            try:
                await self._waiter
            finally:
                alarm.cancel()
                self._waiter = None
        if self.full():
            # The first may have read all of it, and the others nothing: each is first in its turn.
            self._sources = self._sources[1:] + self._sources[:1]
        arrivals, self._inbox, self._arrived = self._inbox, [], 0
        return arrivals

    def held(self) -> Arrivals:
        """Records that must run here after all, since their process is dead or gave them up."""
        now_s = self._clock.monotonic()
        if now_s >= self._next_bury_s:
            self._next_bury_s = now_s + BURY_S
            self._bury()
        held, self._held = self._held, []
        return held

    def _bury(self) -> None:
        for source in self._sources:
            for tenure in source.tenures.values():
                if tenure.elders and (dead := tenure.to_bury(self._fleet.alive)):
                    self._journals.bury(tenure, dead)

    async def prove(self) -> None:
        """A SNAP of its own that is read back proves each tenure that nobody has claimed since."""
        tenures = [tenure for source in self._sources for tenure in source.tenures.values()]
        for tenure in tenures:
            self._journals.want_snap(tenure)
        await asyncio.gather(*(self._journals.confirmed(tenure) for tenure in tenures))
        for source in self._sources:
            source.forsake()

    def wake(self) -> None:
        """Make a waiting `poll` return now."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def commit(self) -> None:
        """Commit and snapshot at their intervals, beside the loop."""
        now_s = self._clock.monotonic()
        if now_s < self._next_commit_s:
            return
        if self._committing is not None:
            if not self._committing.done():
                return
            self._committing.result()  # a journal that cannot be written must stop this process
        self._next_commit_s = now_s + self._commit_s
        snap = now_s >= self._next_snap_s
        if snap:
            self._next_snap_s = now_s + self._snap_s
        self._committing = asyncio.get_running_loop().create_task(self._commit(snap))

    async def _commit(self, snap: bool) -> None:
        if snap:
            for source in self._sources:
                for tenure in source.tenures.values():
                    if tenure.touched:
                        tenure.touched = False
                        self._journals.want_snap(tenure)
            await self._journals.flush()
        for source in self._sources:
            await source.commit()
        await self._measure()

    async def _measure(self) -> None:
        """How far behind the lanes are: what scaling and alerts look at."""
        now_ms = self._clock.now_ms()
        # A lane of which nothing is owned any more is not behind.
        lanes = self._lanes = {lane: Behind() for lane in self._lanes}
        for source in self._sources:
            async for tenure, end in source.behind():
                lanes.setdefault(tenure.lane, Behind()).add(tenure, end, now_ms)
        for lane, behind in lanes.items():
            self._metrics.behind(lane, behind)
        self._metrics.rebalanced(sum(source.rebalances for source in self._sources))
