"""A tick's grants: lane by lane, and within a lane to the tenant that had least.

How it works. Lanes come in priority order, after what the floor owes to lower ones. Within a lane the
tenant with the least virtual counter is served first. A request that does not fit *closes* the scope that
refused it for the rest of the tick: nobody who shares that scope passes by, in this lane or a lower one,
so room gathers until the request fits. Whoever does not share it goes on. A lane's own pace closes a
deployment for that lane alone: its debt never delays a higher one. Whole requests are granted.
"""

import heapq
from collections import Counter
from collections.abc import Callable, Sequence

from headrace.dispatcher.governor.contenders import Contender
from headrace.dispatcher.governor.lane import Lane
from headrace.dispatcher.governor.ledger import Ledger
from headrace.dispatcher.governor.node import Node
from headrace.dispatcher.governor.queues import Queue
from headrace.dispatcher.governor.standing import Touched
from headrace.schemas.limits import Want

Paid = Callable[[float], None]
"""Told of each grant what part of the limit it took."""


class Round:
    """One tick. `closed` has the scopes in which somebody waits for room."""

    def __init__(self, ledger: Ledger, now_ms: int) -> None:
        """Nothing was granted yet."""
        self._ledger = ledger
        self._now_ms = now_ms
        self.closed: set[Node] = set()
        self.touched: Touched = {}

    def serve(self, lane: Lane, waiting: Sequence[Contender], paid: Paid) -> None:
        """Grant to one lane until none of those who wait in it can be granted anything."""
        self._serve(lane, waiting, paid, floor=False)

    def pay_floor(self, lane: Lane, waiting: Sequence[Contender], paid: Paid) -> None:
        """Grant to one lane what it is owed."""
        self._serve(lane, waiting, paid, floor=True)

    def _serve(self, lane: Lane, waiting: Sequence[Contender], paid: Paid, *, floor: bool) -> None:
        crowd = Counter(node for contender in waiting for node in contender.path)
        heap = [(one.turn.counter, one.got, n, one) for n, one in enumerate(waiting)]
        heapq.heapify(heap)
        while heap and not (floor and lane.owed <= 0):
            counter, _, number, contender = heapq.heappop(heap)
            if counter != contender.turn.counter:
                # Another flow of the same tenant was served meanwhile.
                again = (contender.turn.counter, contender.got, number, contender)
                heapq.heappush(heap, again)
                continue
            head = contender.head()
            if head is None or not self.closed.isdisjoint(contender.path):
                continue
            if not lane.bucket(contender).open(self._now_ms):
                continue
            refusing = self._try(lane, contender, *head, paid)
            if refusing is None:
                again = (contender.turn.counter, contender.got, number, contender)
                heapq.heappush(heap, again)
                continue
            self.closed.add(refusing)
            if crowd[refusing] == 1 and heap:
                # Refused by what is its own alone: it does not save up a claim against the others.
                contender.turn.counter = max(counter, heap[0][0])

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
        queue.granted(want)
        cost = contender.cost(need)
        contender.turn.counter += cost / contender.turn.weight
        contender.got += cost
        lane.bucket(contender).take(contender.share(need))
        self.touched.setdefault(queue.session, set()).add(contender.flow)
        paid(cost)
        return None
