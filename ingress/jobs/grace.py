"""Requests whose client went away, and who may come back for the answer: keyed and resumable ones.

One that nobody takes up within the grace is cancelled. Whoever takes it up, here or at another replica
(which says so by an `Attach` on `claims`), keeps it for good: it then runs to its end, as nobody can
know how many follow it. Jobs never come here. Sans-IO: `now` is passed in, `sweep` is the timer.
"""

from headrace.schemas.claims import Attach, Orphan
from headrace.schemas.names import RequestId
from headrace.schemas.records import RequestRecord

MAX_KEPT = 20_000
"""Beyond it the oldest run to their end instead."""


class Grace:
    """Requests without a client, by id, the oldest first."""

    def __init__(self, grace_s: float) -> None:
        self._grace_s = grace_s
        self._kept: dict[RequestId, tuple[float, RequestRecord]] = {}
        self._shared: dict[RequestId, None] = {}
        """Requests that somebody else waits for, too, whose first client may still be there."""

    def __len__(self) -> int:
        return len(self._kept)

    def begin(self, record: RequestRecord, now: float) -> None:
        """The client of `record` went away."""
        if record.id in self._shared:
            return
        if len(self._kept) >= MAX_KEPT:
            del self._kept[next(iter(self._kept))]
        record.body = b""
        self._kept[record.id] = (now + self._grace_s, record)

    def keep(self, request_id: RequestId) -> None:
        """Somebody else wants the request: it is not cancelled, whenever its client leaves."""
        self._kept.pop(request_id, None)
        if len(self._shared) >= MAX_KEPT:
            del self._shared[next(iter(self._shared))]
        self._shared[request_id] = None

    def ended(self, request_id: RequestId) -> None:
        """The request has its outcome."""
        self._kept.pop(request_id, None)
        self._shared.pop(request_id, None)

    def read(self, entry: Orphan | Attach, _at_ms: int) -> None:
        """The next such record on `claims`."""
        if isinstance(entry, Attach):
            self.keep(entry.id)

    def sweep(self, now: float) -> list[RequestRecord]:
        """Let go of those that nobody came back for: they are to be cancelled."""
        over = [record for until, record in self._kept.values() if until <= now]
        for record in over:
            del self._kept[record.id]
        return over
