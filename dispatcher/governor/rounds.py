"""A tick's grants: lane by lane, and within a lane to the tenant that had least.

How it works. Lanes come in priority order, after what the floor owes to lower ones. Within a lane the
tenant with the least virtual counter is served first. A request that does not fit is given a *reservation*
in the scope that refused it: who shares that scope passes by only if the request can be granted as early
nonetheless. To lower lanes the scope is *closed* for the rest of the tick, and to all where the reservation
is not known. Whoever does not share it goes on. A lane's own pace closes a deployment for that lane alone:
its debt never delays a higher one. Whole requests are granted.
"""

import heapq
from collections import Counter
from collections.abc import Callable, Sequence

from headrace.dispatcher.governor.contenders import Contender
from headrace.dispatcher.governor.lane import Lane
from headrace.dispatcher.governor.ledger import Ledger
from headrace.dispatcher.governor.node import Node
from headrace.dispatcher.governor.queues import Queue
from headrace.dispatcher.governor.reservation import Reservation, reserve
from headrace.dispatcher.governor.standing import Touched
from headrace.schemas.limits import Units, Want
from headrace.schemas.names import DeploymentName

Paid = Callable[[float], None]
"""Told of each grant what part of the limit it took."""
Share = Callable[[DeploymentName, int], float]
"""What part of its usual pace a deployment goes at, at a time: 0, nothing is granted for it."""

Granted = Callable[[DeploymentName, int], None]
"""Told of each request that was granted."""


class Round:
    """One tick. `closed` has the scopes in which somebody waits for room."""

    def __init__(
        self,
        ledger: Ledger,
        now_ms: int,
        share: Share = lambda _, __: 1.0,
        granted: Granted = lambda _, __: None,
    ) -> None:
        """Nothing was granted yet."""
        self._granted = granted
        self._share = share
        self._shares: dict[DeploymentName, float] = {}
        self._ledger = ledger
        self._now_ms = now_ms
        self.closed: set[Node] = set()
        self.touched: Touched = {}
        self._dry: dict[Node, float] = {}
        """By scope, the least counter of those in the lane who were granted all that they told of."""

    def serve(self, lane: Lane, waiting: Sequence[Contender], paid: Paid) -> None:
        """Grant to one lane until none of those who wait in it can be granted anything."""
        self._serve(lane, waiting, paid, floor=False)

    def pay_floor(self, lane: Lane, waiting: Sequence[Contender], paid: Paid) -> None:
        """Grant to one lane what it is owed."""
        self._serve(lane, waiting, paid, floor=True)

    def share(self, deployment: DeploymentName) -> float:
        """The part of its usual pace that a deployment goes at in this tick."""
        share = self._shares.get(deployment)
        if share is None:
            share = self._shares[deployment] = self._share(deployment, self._now_ms)
        return share

    def _serve(self, lane: Lane, waiting: Sequence[Contender], paid: Paid, *, floor: bool) -> None:
        crowd = Counter(node for contender in waiting for node in contender.path)
        heap = [(one.turn.counter, one.got, n, one) for n, one in enumerate(waiting)]
        heapq.heapify(heap)
        self._dry.clear()
        waited: dict[Node, Reservation] = {}
        while heap and not (floor and lane.owed <= 0):
            counter, _, number, contender = heapq.heappop(heap)
            if counter != contender.turn.counter:
                # Another flow of the same tenant was served meanwhile.
                again = (contender.turn.counter, contender.got, number, contender)
                heapq.heappush(heap, again)
                continue
            head = contender.head()
            if head is None or not waited.keys().isdisjoint(contender.path):
                continue
            if not self._may_go(lane, contender):
                continue
            refusing = self._try(lane, contender, *head, paid)
            if refusing is None:
                if contender.ran_dry():
                    self._dry |= {
                        n: contender.turn.counter for n in contender.path if n not in self._dry
                    }
                again = (contender.turn.counter, contender.got, number, contender)
                heapq.heappush(heap, again)
                continue
            if crowd[refusing] == 1 and heap:
                # Refused by what is its own alone: it does not save up a claim against the others.
                contender.turn.counter = max(counter, heap[0][0])
            reservation = reserve(contender, head[0].need(head[1]), refusing)
            if reservation is None:
                self.closed.add(refusing)
            else:
                waited[refusing] = reservation
        if waited and not floor:
            self._fill(lane, waiting, waited, paid)
        self.closed.update(waited)

    def _fill(
        self,
        lane: Lane,
        waiting: Sequence[Contender],
        waited: dict[Node, Reservation],
        paid: Paid,
    ) -> None:
        """Grant what delays no reservation, the largest first: that leaves the least room unused.

        The first request of each dispatcher is looked at, so one may pass by an older one of its own flow.
        """
        heap = [
            (-contender.cost(queue.need(want)), contender.flow, name, contender, queue)
            for contender in waiting
            if not waited.keys().isdisjoint(contender.path)
            for name, queue in contender.queues.items()
            if not queue.session.silent and (want := queue.head()) is not None
        ]
        heapq.heapify(heap)
        ahead = -heap[0][0] if heap else 0.0
        while heap:
            *_, contender, queue = heapq.heappop(heap)
            want = queue.head()
            if want is None or not self._passes(lane, contender, queue.need(want), waited, ahead):
                continue
            if self._try(lane, contender, queue, want, paid) is None:
                want = queue.head()
                if want is not None:
                    cost = contender.cost(queue.need(want))
                    again = (-cost, contender.flow, queue.session.name, contender, queue)
                    heapq.heappush(heap, again)

    def _passes(
        self,
        lane: Lane,
        contender: Contender,
        need: Units,
        waited: dict[Node, Reservation],
        ahead: float,
    ) -> bool:
        if not self._may_go(lane, contender):
            return False
        before = [waited[node] for node in contender.path if node in waited]
        return all(one.lets_pass(contender, need, ahead) for one in before)

    def _may_go(self, lane: Lane, contender: Contender) -> bool:
        if not self.closed.isdisjoint(contender.path):
            return False
        counter = contender.turn.counter
        if any(counter > self._dry.get(node, counter) for node in contender.path):
            # It would get ahead of another only since not all of that one's requests are told.
            return False
        return lane.may_go(contender, self._now_ms, self.share(contender.flow.deployment))

    def _try(
        self, lane: Lane, contender: Contender, queue: Queue, want: Want, paid: Paid
    ) -> Node | None:
        """Grant one request, or give it up if it is too large for ever; else tell who refuses it."""
        need = queue.need(want)
        refusing = self._ledger.refusing(contender.flow, need)
        if refusing is not None:
            if not contender.never(refusing, want):
                return refusing
            queue.skip()
            return None
        self._ledger.grant(queue.session.name, contender.flow, need)
        self._granted(contender.flow.deployment, self._now_ms)
        queue.granted(want)
        cost = contender.cost(need)
        contender.turn.counter += cost / contender.turn.weight
        contender.got += cost
        lane.granted(contender, contender.share(need))
        self.touched.setdefault(queue.session, set()).add(contender.flow)
        paid(cost)
        return None
