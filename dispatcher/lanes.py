"""Requests that were read and wait for a seat: strict priority with a share for the lower lanes.

No I/O. One queue per lane and model, so that a model without a free seat holds back no other; as they were
read, or by their deadlines. Of the picks made while a higher lane has work, `share` go below it, so that no
lane starves (P7); the same rule holds again among the lanes below. Requests that need credits stand in
queues of their own (`flows`).
"""

from collections import deque
from collections.abc import Callable, Iterator

from headrace.dispatcher.flows import FlowQueues, insert
from headrace.dispatcher.turns import Turns
from headrace.dispatcher.waiting import Waiting
from headrace.schemas.names import DeploymentName, LaneName, ModelName


class LaneQueues:
    """All waiting requests of one process, bounded by whoever reads them (`records`, `bytes`)."""

    def __init__(
        self, lanes: list[LaneName], share: float, flows: FlowQueues | None = None
    ) -> None:
        """`lanes` in priority order, highest first."""
        self._lanes = lanes
        self._turns = Turns(share)
        self._flows = flows or FlowQueues(lanes, share)
        self._queues: dict[LaneName, dict[ModelName, deque[Waiting]]] = {lane: {} for lane in lanes}
        self.records: dict[LaneName, int] = dict.fromkeys(lanes, 0)
        self.bytes: dict[LaneName, int] = dict.fromkeys(lanes, 0)
        self._aside: list[Waiting] = []
        self.held: dict[LaneName, int] = dict.fromkeys(lanes, 0)
        """Those of `records` that are held, and never picked."""

    def push(self, waiting: Waiting, *, first: bool = False) -> None:
        """Queue a request; `first` for one that waited its turn before (a retry)."""
        self.records[waiting.lane] += 1
        self.bytes[waiting.lane] += waiting.size
        if waiting.flow is not None:
            self._flows.push(waiting)
            return
        queue = self._queues[waiting.lane].setdefault(waiting.model, deque())
        if waiting.by_deadline:
            insert(queue, waiting)
        elif first:
            queue.appendleft(waiting)
        else:
            queue.append(waiting)

    def hold(self, waiting: Waiting) -> None:
        """Keep a request that must not be picked."""
        self.records[waiting.lane] += 1
        self.bytes[waiting.lane] += waiting.size
        self.held[waiting.lane] += 1
        self._aside.append(waiting)

    def pick(self, model: ModelName) -> Waiting | None:
        """Take the request of `model` whose turn it is."""
        busy = [lane for lane in self._lanes if self._queues[lane].get(model)]
        if not busy:
            return None
        lane = self._turns.next(model, busy) if len(busy) > 1 else busy[0]
        waiting = self._queues[lane][model].popleft()
        self._took(waiting)
        return waiting

    def pick_covered(
        self,
        deployment: DeploymentName,
        covered: Callable[[Waiting], bool],
        lets: Callable[[Waiting], bool],
    ) -> Waiting | None:
        """Take the request whose turn it is among those that wait for credits at `deployment`."""
        waiting = self._flows.pick(deployment, covered, lets)
        if waiting is not None:
            self._took(waiting)
        return waiting

    def models(self) -> Iterator[ModelName]:
        """Models that have work waiting, each once."""
        seen: set[ModelName] = set()
        for queues in self._queues.values():
            for model, queue in queues.items():
                if queue and model not in seen:
                    seen.add(model)
                    yield model

    def take(self, condition: Callable[[Waiting], bool]) -> list[Waiting]:
        """Take out every request that meets `condition`, wherever it stands."""
        taken = self._flows.take(condition)
        held = [waiting for waiting in self._aside if condition(waiting)]
        if held:
            taken += held
            gone = set(map(id, held))
            self._aside = [waiting for waiting in self._aside if id(waiting) not in gone]
            for waiting in held:
                self.held[waiting.lane] -= 1
        for queues in self._queues.values():
            for model, queue in queues.items():
                out = [waiting for waiting in queue if condition(waiting)]
                if out:
                    taken += out
                    gone = set(map(id, out))
                    queues[model] = deque(w for w in queue if id(w) not in gone)
        for waiting in taken:
            self._took(waiting)
        return taken

    def _took(self, waiting: Waiting) -> None:
        self.records[waiting.lane] -= 1
        self.bytes[waiting.lane] -= waiting.size
