"""Requests that their owners took back; a cancel may arrive before its request. No I/O."""

import heapq

from headrace.schemas.names import Identity
from headrace.schemas.records import RequestRecord
from headrace.schemas.replies import Cancel


class Cancels:
    """Tenant and id with the deadline after which nobody can ask any more, so memory is bounded by that."""

    def __init__(self, limit: int = 1_000_000) -> None:
        self._until: dict[Identity, int] = {}
        self._heap: list[tuple[int, Identity]] = []
        self._limit = limit
        self._new = False

    def __contains__(self, record: RequestRecord) -> bool:
        return bool(self._until) and (record.tenant, record.id) in self._until

    def are_new(self) -> bool:
        """Whether any came since this was asked last."""
        new, self._new = self._new, False
        return new

    def add(self, cancel: Cancel, now_ms: int) -> None:
        """Remember the cancel until its deadline; the ones nearest to theirs go first where too many."""
        deadline_ms, request = cancel.deadline_ms, (cancel.tenant, cancel.id)
        if deadline_ms < now_ms or request in self._until:
            return
        self._new = True
        self._until[request] = deadline_ms
        heapq.heappush(self._heap, (deadline_ms, request))
        while self._heap and (self._heap[0][0] < now_ms or len(self._heap) > self._limit):
            self._until.pop(heapq.heappop(self._heap)[1], None)
