"""What operators hold back: requests of a lane or tenant wait aside, a deployment gets none. No I/O.

How it works. Whatever is to be queued passes here first; of a paused lane or tenant it is put aside, in the
same bounds as all that was read. When a pause begins or ends, or limits change, everything that waits is
queued anew in the order in which it was accepted: so what was held gets its place again, what a paused
deployment would have had goes to another one, and what has become larger than a limit is told so. A tenant
that is held keeps no more than half of what a lane may read ahead: the rest of its requests wait in the
delay topics, for a minute at a time, so that the lane is read on for others.
"""

from collections.abc import Callable

from headrace.dispatcher.gate import Gatekeeper
from headrace.dispatcher.lanes import LaneQueues
from headrace.dispatcher.metrics import Metrics
from headrace.dispatcher.operated import Operated
from headrace.dispatcher.seats import Seats
from headrace.dispatcher.waiting import Waiting
from headrace.schemas.config.model import DispatcherConfig
from headrace.schemas.names import DeploymentName
from headrace.schemas.settings import Scope

ASIDE_MS = 60_000


class Brakes:
    """Of one process."""

    def __init__(
        self,
        operated: Operated,
        limits: DispatcherConfig,
        queues: LaneQueues,
        seats: Seats,
        gates: Gatekeeper | None,
        push: Callable[[Waiting], None],
        delay: Callable[[Waiting, int], None],
    ) -> None:
        """`push` queues a request, `delay` sends it to a delay topic."""
        self._operated = operated
        self._queues = queues
        self._seats = seats
        self._gates = gates
        self._push = push
        self._delay = delay
        self._most = limits.read_ahead_records // 2
        self._known = operated.pauses, operated.limits
        operated.listeners.append(self._changed)

    def hold(self, waiting: Waiting, now_ms: int) -> bool:
        """Whether an operator keeps this request from being queued: then it is cared for here."""
        operated, tenant = self._operated, waiting.record.tenant
        if not operated.pauses:
            return False
        if operated.holding(waiting.lane, tenant, None, now_ms) is None:
            return False
        waiting.flow = None
        many = self._queues.held[waiting.lane] >= self._most
        long = waiting.deadline_ms - now_ms > ASIDE_MS
        # Of a lane that is paused whole nothing need be read on.
        if many and long and operated.holding_lane(waiting.lane, now_ms) is None:
            waiting.due_ms = now_ms + ASIDE_MS
            self._delay(waiting, now_ms)
        else:
            self._queues.hold(waiting)
        return True

    def look(self, now_ms: int, metrics: Metrics) -> None:
        """See what has ended by itself, and tell what is held."""
        self._operated.tick(now_ms)
        metrics.paused(self._operated.pauses, self._queues.held)

    def _changed(self, now_ms: int) -> None:
        now = self._operated.pauses, self._operated.limits
        before, self._known = self._known, now
        if now == before:
            return
        self._seats.closed = frozenset(
            DeploymentName(name) for name in self._operated.paused(Scope.DEPLOYMENT, now_ms)
        )
        if self._gates is not None:
            self._gates.limit(self._operated.limits)
        for waiting in sorted(self._queues.take(lambda _: True), key=lambda one: one.rank):
            waiting.flow = None
            self._push(waiting)
        if self._gates is not None:
            self._gates.credits.look_again()
