"""Requests that wait for credits: a queue for each deployment, lane and tenant. No I/O.

They stand in the order in which they were accepted, or of their deadlines, so that one that comes back, from
a call that was not made or from another deployment, has its place again.
"""

from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Hashable, Iterator, Sequence
from itertools import islice
from operator import attrgetter
from typing import Final, TypeVar

from headrace.dispatcher.turns import Turns
from headrace.dispatcher.waiting import Waiting
from headrace.schemas.limits import Flow
from headrace.schemas.names import DeploymentName, LaneName

LOOKED_AT: Final = 16
"""So many requests of each flow are looked at: as many as the owner is told of."""
Queues = dict[Flow, deque[Waiting]]
Key = TypeVar("Key", bound=Hashable)


class FlowQueues:
    """The queues of one process; a request is in that of its `flow`. Bounded by `LaneQueues`."""

    def __init__(self, lanes: Sequence[LaneName], share: float) -> None:
        """`lanes` in priority order, highest first."""
        self._lanes = tuple(lanes)
        self._turns = Turns(share)
        self._queues: dict[DeploymentName, dict[LaneName, Queues]] = {}
        self._count: dict[DeploymentName, int] = {}
        self.changed: set[Flow] = set()
        """Queues that are not what they were; whoever has looked at them empties it."""

    def __iter__(self) -> Iterator[Waiting]:
        for flow, queues in self._all():
            yield from queues[flow]

    def push(self, waiting: Waiting) -> None:
        """Queue a request by its rank."""
        flow = _flow_of(waiting)
        lanes = self._queues.get(flow.deployment)
        if lanes is None:
            lanes = self._queues[flow.deployment] = {lane: {} for lane in self._lanes}
        insert(lanes[flow.lane].setdefault(flow, deque()), waiting)
        self._count[flow.deployment] = self.waiting(flow.deployment) + 1
        self.changed.add(flow)

    def pick(
        self,
        deployment: DeploymentName,
        covered: Callable[[Waiting], bool],
        lets: Callable[[Waiting], bool] = lambda _: True,
    ) -> Waiting | None:
        """Take the request whose turn it is at `deployment`, of those that come first and are `covered`.

        Within a lane flows take turns; of each the first that its breaker `lets` pass comes first, since one
        that failed there waits for longer than those behind it.
        """
        ready: dict[LaneName, tuple[Flow, int]] = {}
        for lane, queues in self._queues.get(deployment, {}).items():
            for flow, queue in queues.items():
                at = _first(queue, lets)
                if at is not None and covered(queue[at]):
                    ready[lane] = flow, at
                    break
        if not ready:
            return None
        flow, at = ready[self._turns.next(deployment, tuple(ready))]
        queues = self._queues[deployment][flow.lane]
        queue = queues.pop(flow)
        waiting = queue[at]
        del queue[at]
        if queue:
            queues[flow] = queue
        self._took(flow, 1)
        return waiting

    def first(self, flow: Flow, count: int) -> list[Waiting]:
        """The first `count` of a flow, or as many as there are."""
        queue = self._queues.get(flow.deployment, {}).get(flow.lane, {}).get(flow)
        return list(islice(queue, count)) if queue else []

    def length(self, flow: Flow) -> int:
        """How many wait in a flow."""
        return len(self._queues.get(flow.deployment, {}).get(flow.lane, {}).get(flow, ()))

    def take(self, condition: Callable[[Waiting], bool]) -> list[Waiting]:
        """Take out every request that meets `condition`."""
        taken: list[Waiting] = []
        for flow, queues in list(self._all()):
            out = take_out(queues, flow, condition)
            if out:
                self._took(flow, len(out))
                taken += out
        return taken

    def remove(self, waiting: Waiting) -> None:
        """Take out one that stands here."""
        flow = _flow_of(waiting)
        queues = self._queues[flow.deployment][flow.lane]
        queues[flow].remove(waiting)
        if not queues[flow]:
            del queues[flow]
        self._took(flow, 1)

    def waiting(self, deployment: DeploymentName) -> int:
        """How many wait for `deployment`."""
        return self._count.get(deployment, 0)

    def deployments(self) -> list[DeploymentName]:
        """Those that requests wait for."""
        return [name for name, count in self._count.items() if count]

    def flows(self, deployment: DeploymentName) -> list[Flow]:
        """Those in which requests wait for `deployment`, the highest lane first."""
        return [flow for queues in self._queues.get(deployment, {}).values() for flow in queues]

    def _all(self) -> Iterator[tuple[Flow, Queues]]:
        for lanes in self._queues.values():
            for queues in lanes.values():
                for flow in list(queues):
                    yield flow, queues

    def _took(self, flow: Flow, count: int) -> None:
        self._count[flow.deployment] -= count
        self.changed.add(flow)


def _flow_of(waiting: Waiting) -> Flow:
    if waiting.flow is None:
        raise ValueError("a request that waits for credits has a flow")
    return waiting.flow


def _first(queue: deque[Waiting], lets: Callable[[Waiting], bool]) -> int | None:
    for at, one in enumerate(islice(queue, LOOKED_AT)):
        if lets(one):
            return at
    return None


def take_out(
    queues: dict[Key, deque[Waiting]], key: Key, condition: Callable[[Waiting], bool]
) -> list[Waiting]:
    """Take what meets `condition` out of the queue of `key`; an empty queue goes, too."""
    out = [waiting for waiting in queues[key] if condition(waiting)]
    if out:
        gone = set(map(id, out))
        queues[key] = deque(waiting for waiting in queues[key] if id(waiting) not in gone)
        if not queues[key]:
            del queues[key]
    return out


def insert(queue: deque[Waiting], waiting: Waiting) -> None:
    """Put it behind those of its rank and below."""
    if not queue or queue[-1].rank <= waiting.rank:
        queue.append(waiting)
    else:
        queue.insert(bisect_right(queue, waiting.rank, key=attrgetter("rank")), waiting)
