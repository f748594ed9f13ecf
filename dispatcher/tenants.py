"""Requests of one lane and model that need no credits: tenants take turns, by their weights. No I/O."""

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from itertools import chain
from typing import Final

from headrace.dispatcher.flows import insert, take_out
from headrace.dispatcher.waiting import Waiting
from headrace.schemas.names import Tenant

LEAST_TURN: Final = 0.01
"""A tenant with a smaller weight is served as if it had this one, so that a pick ends."""


class TenantQueues:
    """Deficit round robin (Shreedhar and Varghese 1995), with requests as its unit.

    The tenant at the front is served for as long as it has a turn left; then it goes to the back and gets
    its weight anew. One that has nothing waiting loses what it had, so that nobody saves up.
    """

    def __init__(self, weights: Mapping[Tenant, float]) -> None:
        """`weights` of the tenants that do not have 1."""
        self._weights = weights
        self._queues: dict[Tenant, deque[Waiting]] = {}
        self._left: dict[Tenant, float] = {}

    def __bool__(self) -> bool:
        return bool(self._queues)

    def __iter__(self) -> Iterator[Waiting]:
        return chain.from_iterable(self._queues.values())

    def push(self, waiting: Waiting) -> None:
        """Queue a request by its rank."""
        queue = self._queues.get(waiting.record.tenant)
        if queue is None:
            queue = self._queues[waiting.record.tenant] = deque()
        insert(queue, waiting)

    def pick(self) -> Waiting:
        """Take the request whose turn it is. Raises `StopIteration` where none waits."""
        tenant, queue = next(iter(self._queues.items()))
        if len(self._queues) > 1:
            tenant, queue = self._turn(tenant, queue)
        waiting = queue.popleft()
        if not queue:
            del self._queues[tenant]
            self._left.pop(tenant, None)
        return waiting

    def take(self, condition: Callable[[Waiting], bool]) -> list[Waiting]:
        """Take out every request that meets `condition`."""
        taken: list[Waiting] = []
        for tenant in list(self._queues):
            taken += take_out(self._queues, tenant, condition)
            if tenant not in self._queues:
                self._left.pop(tenant, None)
        return taken

    def _turn(self, tenant: Tenant, queue: deque[Waiting]) -> tuple[Tenant, deque[Waiting]]:
        while (left := self._left.get(tenant, self._turn_of(tenant))) < 1:
            del self._queues[tenant]
            self._queues[tenant] = queue
            # At once: whoever stands before it may have gone when it is at the front again.
            self._left[tenant] = left + self._turn_of(tenant)
            tenant, queue = next(iter(self._queues.items()))
        self._left[tenant] = left - 1
        return tenant, queue

    def _turn_of(self, tenant: Tenant) -> float:
        return max(LEAST_TURN, self._weights.get(tenant, 1.0))
