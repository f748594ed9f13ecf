"""Requests that will wait for long are put aside, so that what stands behind them can be read. No I/O.

How it works. Of each kind (lane, model, tenant and key) it is measured how fast its requests go. A kind that
has more than `SLOW_MS` of work waiting is slow: a limit, few seats or long calls hold it, and what is read of
it now is of no use soon. When a lane has little room left, a slow kind keeps what it needs for that time, and
no more than its share of three quarters of the room: so there is always room for others. When a partition's
window is half open, its oldest requests of slow kinds whose turn is far go too, as calls that take long do
(`parking`). They wait in the delay topics for half of the time after which their turn will come at this
pace: each comes back a few times at most, and early if things get better. Before a turn are all that are
older, here or aside: one that comes back and must go again is not behind younger ones.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from itertools import groupby, islice
from typing import Final

from headrace.dispatcher.aside import Aside, Older, age_of
from headrace.dispatcher.lanes import Kind, LaneQueues, kind_of
from headrace.dispatcher.metrics import Metrics
from headrace.dispatcher.waiting import Waiting
from headrace.dispatcher.waits import DELAY_WINDOW, MOST_LEAVING, Waits
from headrace.schemas.config.model import DispatcherConfig
from headrace.schemas.names import LaneName

LOOK_MS: Final = 1_000
MEASURED_MS: Final = 10_000
"""A pace is known after so long, and forgotten by halves."""
SLOW_MS: Final = 30_000
LEAST_MS: Final = SLOW_MS // 2
"""Nothing is put aside for less: it would come back when its turn is far, or has passed."""
MOST_MS: Final = 600_000
"""For so long a deployment that recovers may lack the work that it could do."""
FILLED: Final = 0.75
"""Part of a lane's room from which on it is short."""
FEW: Final = 32
"""A slow kind keeps at least this part (1/32) of the room, if that is not more than its share."""


class Crowds:
    """Of one process."""

    def __init__(
        self,
        limits: DispatcherConfig,
        queues: LaneQueues,
        waits: Waits,
        delay: Callable[[Waiting, int], None],
        metrics: Metrics,
    ) -> None:
        """`delay` sends a request to a delay topic."""
        self._limits = limits
        self._queues = queues
        self._waits = waits
        self._delay = delay
        self._metrics = metrics
        self._looked_ms = 0
        self._since_ms: dict[Kind, int] = {}
        """From when on the picks of a kind that has had something waiting ever since are counted."""
        self._aside: defaultdict[Kind, Aside] = defaultdict(Aside)

    def turn(self, now_ms: int) -> None:
        """Put aside what crowds others out."""
        if now_ms - self._looked_ms < LOOK_MS:
            return
        self._looked_ms = now_ms
        kinds = self._queues.kinds()
        self._measure(kinds, now_ms)
        most = max(0, MOST_LEAVING - self._waits.leaving)
        aside = list(islice(self._crowding(kinds, now_ms), most))
        if not aside:
            return
        for kind, lump in groupby(aside, key=kind_of):
            self._aside[kind].add(list(lump))
        gone = set(map(id, aside))
        for waiting in self._queues.take(lambda one: id(one) in gone):
            waiting.flow = None
            self._metrics.put_aside.inc()
            self._delay(waiting, now_ms)

    def _measure(self, kinds: dict[Kind, list[Waiting]], now_ms: int) -> None:
        """Begin with kinds that began to wait, forget what does not wait, and by halves what is old."""
        picked = self._queues.picked
        for kind in [kind for kind in self._since_ms if kind not in kinds]:
            del self._since_ms[kind]
        for kind in [kind for kind in picked if kind not in self._since_ms]:
            del picked[kind]
        for kind in kinds:
            age_ms = now_ms - self._since_ms.setdefault(kind, now_ms)
            if age_ms >= 2 * MEASURED_MS:
                self._since_ms[kind] = now_ms - age_ms // 2
                picked[kind] //= 2
        for kind, aside in list(self._aside.items()):
            aside.forget(now_ms)
            if not aside:
                del self._aside[kind]

    def _crowding(self, kinds: dict[Kind, list[Waiting]], now_ms: int) -> Iterator[Waiting]:
        count = Counter(lane for lane, *_ in kinds)
        for kind, queue in kinds.items():
            age_ms, picked = now_ms - self._since_ms[kind], self._queues.picked[kind]
            if age_ms < MEASURED_MS or len(queue) * age_ms <= SLOW_MS * picked:
                continue
            pace = picked / age_ms
            keep, size = self._kept(kind[0], pace, count[kind[0]])
            older: Older | None = None
            for place, waiting in enumerate(sorted(queue, key=age_of)):
                size -= waiting.size
                beyond = place >= keep or (size < 0 and place > 0)
                in_the_way = place >= pace * SLOW_MS and self._holds_back(waiting)
                if (beyond or in_the_way) and _may_go(waiting, now_ms):
                    older = older or self._aside[kind].older(now_ms)
                    before = place + older(age_of(waiting))
                    waiting.due_ms = _due_ms(waiting, before, pace, now_ms)
                    yield waiting

    def _kept(self, lane: LaneName, pace: float, kinds: int) -> tuple[float, float]:
        """How many requests, and bytes, a slow kind keeps: all while there is room."""
        limits, queues = self._limits, self._queues
        records, size = limits.read_ahead_records, limits.read_ahead_bytes
        full = queues.records[lane] / records, queues.bytes[lane] / size
        if max(full) <= FILLED:
            return records, size
        share = FILLED / kinds
        keep = min(records * share, max(records / FEW, pace * SLOW_MS))
        return max(1, int(keep)), size * share

    def _holds_back(self, waiting: Waiting) -> bool:
        tenure = waiting.tenure
        window = DELAY_WINDOW if tenure.delay_ms else self._limits.partition_window
        tracker = tenure.tracker
        return tracker.span > window / 2 and waiting.offset < tracker.watermark + window / 4


def _due_ms(waiting: Waiting, before: float, pace: float, now_ms: int) -> int:
    """Half of the way to its turn, or to its deadline if that is sooner: things may get better.

    `before` its turn so many go, at `pace` in requests a millisecond; soon, where nothing goes at all.
    """
    wait_ms = max(LEAST_MS, (before + 1) / pace / 2) if pace else SLOW_MS
    left_ms = waiting.deadline_ms - now_ms
    return now_ms + int(min(MOST_MS, wait_ms, left_ms / 2))


def _may_go(waiting: Waiting, now_ms: int) -> bool:
    if waiting.started or waiting.suspect or waiting.careful or waiting.parked is not None:
        return False
    return waiting.ours and waiting.deadline_ms - now_ms > LEAST_MS
