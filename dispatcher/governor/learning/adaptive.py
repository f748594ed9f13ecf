"""Seats that are learned from latency, as an owner holds a ledger's scopes to them. No I/O.

How it works. Dispatchers tell sums of latencies, of which the difference to what they told before counts;
how many calls were in flight meanwhile stands in the ledger. Fewer seats than are in use only withhold new
ones. A successor begins with the number that stands in the log, and measures the least latency anew: what was
reported before says little without it.
"""

from typing import Final

import msgspec

from headrace.dispatcher.governor.learning.holding import Holding, Place
from headrace.dispatcher.governor.learning.limits import RESTATE_MS, Change
from headrace.dispatcher.governor.learning.seats import (
    Latencies,
    LearnedSeats,
    SeatsPolicy,
    after_answers,
    after_overload,
    allowed,
    begin,
)
from headrace.dispatcher.governor.node import Node
from headrace.dispatcher.governor.tree import Dimension
from headrace.schemas.journal import ProcessId
from headrace.schemas.limits import Epoch, Learned
from headrace.schemas.names import DeploymentName
from headrace.schemas.tellings import Answered, Kind

MOST_SOURCES: Final = 1_000
"""Dispatchers and kinds that are remembered of a scope; of another one the first telling counts nothing."""


class _Seats:
    """Those of one scope."""

    def __init__(self, node: Node, policy: SeatsPolicy) -> None:
        self.node = node
        self.policy = policy
        self.known: LearnedSeats | None = None
        """None: the owner has not begun yet."""
        self._before: Learned | None = None
        """By the owner before."""
        self.stated_ms: int | None = None
        self._busiest = 0
        """Calls in flight at most, since answers were told."""
        self._told: dict[tuple[ProcessId, Kind], tuple[int, float]] = {}

    @property
    def place(self) -> Place:
        """Where they are held."""
        return Place(self.node.scope.name, Dimension.SEATS)

    @property
    def taken(self) -> int:
        """Calls that may be in flight now."""
        return self.node.open_requests + self.node.in_use

    def at(self, now_ms: int) -> LearnedSeats:
        """What is known, or where it begins."""
        if self.known is None:
            self.known = begin(now_ms, self.policy)
            if self._before is not None:
                self.take(self._before)
        return self.known

    def take(self, stated: Learned) -> None:
        """Go on from what the owner before knew."""
        self._before = stated
        if self.known is not None:
            self.known = msgspec.structs.replace(
                self.known, seats=stated.peak, cut_at_ms=stated.cut_at_ms
            )

    def look(self) -> None:
        """See how many are taken."""
        self._busiest = max(self._busiest, self.taken)

    def told(self, process: ProcessId, answered: Answered, now_ms: int) -> None:
        """Take what is new in it."""
        self.look()
        source = process, answered.kind
        before = self._told.pop(source, None)
        if len(self._told) >= MOST_SOURCES:
            del self._told[next(iter(self._told))]
        newest = answered.calls, answered.total_ms
        self._told[source] = newest if before is None else max(before, newest)
        if self.known is None or before is None or answered.calls <= before[0]:
            return
        calls, total_ms = answered.calls - before[0], max(0.0, answered.total_ms - before[1])
        self.known = after_answers(
            self.known,
            answered.kind,
            Latencies(calls, total_ms, min(answered.least_ms, total_ms / calls)),
            in_use=self._busiest,
            now_ms=now_ms,
            policy=self.policy,
        )
        self._busiest = self.taken


class Adaptive:
    """All scopes of one ledger whose seats are learned."""

    def __init__(self, holding: Holding) -> None:
        """Nothing is known."""
        self._holding = holding
        self._scopes: dict[str, _Seats] = {}
        self.replant()

    def replant(self) -> None:
        """The configured limits were changed, and `holding` knows of it."""
        before, self._scopes = self._scopes, {}
        self._of: dict[str, _Seats] = {}
        for name, node in self._holding.nodes.items():
            policy = node.scope.adaptive
            if policy is None:
                continue
            seats = before.get(name) or _Seats(node, policy)
            seats.node, seats.policy = node, policy
            self._scopes[name] = seats
            self._of |= dict.fromkeys(node.scope.deployments or (), seats)

    def told(
        self, process: ProcessId, deployment: DeploymentName, answered: Answered, now_ms: int
    ) -> None:
        """A dispatcher told of answers of a deployment."""
        seats = self._of.get(deployment)
        if seats is not None:
            seats.told(process, answered, now_ms)

    def overloaded(
        self, deployment: DeploymentName, *, started_ms: int, now_ms: int
    ) -> Change | None:
        """An upstream had too much to do for a call of `started_ms`. Returns what was cut by it."""
        seats = self._of.get(deployment)
        if seats is None or seats.known is None:
            return None
        before, policy = seats.known, seats.policy
        seats.known = after_overload(before, started_ms=started_ms, now_ms=now_ms, policy=policy)
        if seats.known is before:
            return None
        seats.stated_ms = None
        return Change(seats.place, int(seats.known.seats), cut=True)

    def apply(self, now_ms: int) -> None:
        """Hold to what is known now."""
        for seats in self._scopes.values():
            seats.look()
            policy = seats.policy
            limit = policy.most if policy.shadow else allowed(seats.at(now_ms), now_ms, policy)
            self._holding.hold(seats.place, limit)

    def shadowed(self, deployment: DeploymentName, now_ms: int) -> bool:
        """Whether more seats are taken than were learned, which nobody is held to in shadow mode."""
        seats = self._of.get(deployment)
        if seats is None or not seats.policy.shadow:
            return False
        return seats.taken > allowed(seats.at(now_ms), now_ms, seats.policy)

    def now(self, now_ms: int) -> dict[Place, float]:
        """What is known of all."""
        return {
            seats.place: float(int(min(seats.at(now_ms).seats, seats.policy.most)))
            for seats in self._scopes.values()
        }

    def due(self, epoch: Epoch, now_ms: int) -> list[Learned]:
        """What is to be stated now."""
        stated: list[Learned] = []
        for name, seats in self._scopes.items():
            if seats.stated_ms is not None and now_ms - seats.stated_ms < RESTATE_MS:
                continue
            seats.stated_ms = now_ms
            known = seats.at(now_ms)
            record = Learned(
                epoch, name, Dimension.SEATS.value, None, known.seats, known.cut_at_ms, 0
            )
            stated.append(record)
        return stated

    def take(self, stated: Learned) -> None:
        """What the owner before knew."""
        seats = self._scopes.get(stated.scope)
        if seats is not None:
            seats.take(stated)
