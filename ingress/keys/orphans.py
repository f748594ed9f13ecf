"""Which broken requests may be taken up: a fold over the `Orphan` and `Attach` records of `claims`.

The order of the log decides, so every replica comes to the same result: an `Orphan` may be taken up
for `GRACE_MS` of the log's own time, by the first `Attach` that names it, once. A request whose
connection breaks again is an orphan again. No I/O; times are the records' append times.
"""

from collections import OrderedDict
from collections.abc import Container

import msgspec

from headrace.schemas.claims import Attach, Orphan
from headrace.schemas.names import Endpoint, InstanceId, RequestId, Tenant

GRACE_MS = 10_000
"""The official clients ask again after at most 8 s."""
MAX_ORPHANS = 20_000
"""Kept at a time; beyond it the oldest go, and their repeats are requests of their own."""


class Taken(msgspec.Struct, frozen=True):
    """An orphan was taken up: `taker` waits for the answer that `keeper` gets."""

    id: RequestId
    keeper: InstanceId
    taker: InstanceId
    deadline_ms: int


Wanted = tuple[Tenant, Endpoint, str]
"""What makes a repeat equal to an orphan: tenant, endpoint, digest."""


class _Kept(msgspec.Struct, frozen=True):
    orphan: Orphan
    until_ms: int


class Orphans:
    """Orphans that nobody has taken up yet, oldest first."""

    def __init__(self) -> None:
        self._kept: OrderedDict[RequestId, _Kept] = OrderedDict()
        self._by_request: dict[Wanted, list[RequestId]] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def left(self, orphan: Orphan, timestamp_ms: int) -> None:
        """An `Orphan` record, in log order."""
        self._forget(orphan.id)
        self._drop_old(timestamp_ms)
        self._kept[orphan.id] = _Kept(orphan, timestamp_ms + GRACE_MS)
        self._by_request.setdefault(_wanted(orphan), []).append(orphan.id)

    def taken(self, attach: Attach, timestamp_ms: int) -> Taken | None:
        """An `Attach` record, in log order; None where it came too late or second."""
        kept = self._kept.get(attach.id)
        if kept is None or timestamp_ms > kept.until_ms or kept.orphan.tenant != attach.tenant:
            return None
        self._forget(attach.id)
        orphan = kept.orphan
        return Taken(attach.id, orphan.instance, attach.instance, orphan.deadline_ms)

    def find(
        self, wanted: Wanted, now_ms: int, besides: Container[RequestId] = ()
    ) -> Orphan | None:
        """The oldest orphan equal to a repeat that comes now; `now_ms` is broker time."""
        for request_id in self._by_request.get(wanted, ()):
            kept = self._kept[request_id]
            if now_ms <= kept.until_ms and request_id not in besides:
                return kept.orphan
        return None

    def _drop_old(self, now_ms: int) -> None:
        while self._kept:
            oldest = next(iter(self._kept))
            if self._kept[oldest].until_ms >= now_ms and len(self._kept) < MAX_ORPHANS:
                return
            self._forget(oldest)

    def _forget(self, request_id: RequestId) -> None:
        kept = self._kept.pop(request_id, None)
        if kept is None:
            return
        wanted = _wanted(kept.orphan)
        equal = self._by_request[wanted]
        equal.remove(request_id)
        if not equal:
            del self._by_request[wanted]


def _wanted(entry: Orphan) -> Wanted:
    return entry.tenant, entry.endpoint, entry.digest
