"""Requests that were read and wait for a seat: strict priority with a share for the lower lanes.

No I/O. Queues for each lane and model, so that a model without a free seat holds back no other, in which
tenants take turns (`tenants`). Of each the oldest goes first, from whichever partition it was read, or the
one with the earliest deadline. Of the picks made while a higher lane has work, `share` go below it, so that
no lane starves (P7); the same rule holds again among the lanes below. Requests that need credits stand in
queues of their own (`flows`).
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType

from headrace.dispatcher.flows import FlowQueues
from headrace.dispatcher.tenants import TenantQueues
from headrace.dispatcher.turns import Turns
from headrace.dispatcher.waiting import Waiting
from headrace.schemas.names import DeploymentName, KeyName, LaneName, ModelName, Tenant

Kind = tuple[LaneName, ModelName, Tenant, KeyName]
"""Requests that are served alike; of keys those with limits of their own have a name."""


class LaneQueues:
    """All waiting requests of one process, bounded by whoever reads them (`records`, `bytes`)."""

    def __init__(
        self,
        lanes: list[LaneName],
        share: float,
        flows: FlowQueues | None = None,
        weights: Mapping[Tenant, float] = MappingProxyType({}),
    ) -> None:
        """`lanes` in priority order, highest first; `weights` of the tenants that do not have 1."""
        self._lanes = lanes
        self._turns = Turns(share)
        self._flows = flows or FlowQueues(lanes, share)
        self._weights = weights
        self._queues: dict[LaneName, dict[ModelName, TenantQueues]] = {lane: {} for lane in lanes}
        self.records: dict[LaneName, int] = dict.fromkeys(lanes, 0)
        self.bytes: dict[LaneName, int] = dict.fromkeys(lanes, 0)
        self._aside: list[Waiting] = []
        self.held: dict[LaneName, int] = dict.fromkeys(lanes, 0)
        """Those of `records` that are held, and never picked."""
        self.picked: Counter[Kind] = Counter()
        """Picks of each kind; whoever measures their pace empties it."""

    def push(self, waiting: Waiting) -> None:
        """Queue a request at its place."""
        self.records[waiting.lane] += 1
        self.bytes[waiting.lane] += waiting.size
        if waiting.flow is not None:
            self._flows.push(waiting)
            return
        queues = self._queues[waiting.lane].get(waiting.model)
        if queues is None:
            queues = self._queues[waiting.lane][waiting.model] = TenantQueues(self._weights)
        queues.push(waiting)

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
        waiting = self._queues[lane][model].pick()
        self._picked(waiting)
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
            self._picked(waiting)
        return waiting

    def kinds(self) -> dict[Kind, list[Waiting]]:
        """What waits to be picked, each kind in its order where it has one queue."""
        kinds: dict[Kind, list[Waiting]] = {}
        for queues in self._queues.values():
            for queue in queues.values():
                for waiting in queue:
                    kinds.setdefault(kind_of(waiting), []).append(waiting)
        for waiting in self._flows:
            kinds.setdefault(kind_of(waiting), []).append(waiting)
        return kinds

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
            for queue in queues.values():
                taken += queue.take(condition)
        for waiting in taken:
            self._took(waiting)
        return taken

    def _picked(self, waiting: Waiting) -> None:
        self.picked[kind_of(waiting)] += 1
        self._took(waiting)

    def _took(self, waiting: Waiting) -> None:
        self.records[waiting.lane] -= 1
        self.bytes[waiting.lane] -= waiting.size


def kind_of(waiting: Waiting) -> Kind:
    """The kind of a request."""
    record = waiting.record
    return waiting.lane, waiting.model, record.tenant, record.key_name
