"""Who is told when the row of a request changes: one look-up a row, however many wait."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from headrace.ingress.index import Index, Row
from headrace.schemas.names import RequestId, Tenant

Wake = Callable[[], None]


class Watch:
    """Wake-ups by request. Lives as long as the index."""

    def __init__(self, index: Index) -> None:
        self._waiting: dict[tuple[Tenant, RequestId], list[Wake]] = {}
        index.on_row(self._changed)

    @contextmanager
    def on(self, tenant: Tenant, request_id: RequestId, wake: Wake) -> Iterator[None]:
        """Call `wake` for each new state of a request, for as long as the context lasts."""
        key = (tenant, request_id)
        self._waiting.setdefault(key, []).append(wake)
        try:
            yield
        finally:
            waiting = self._waiting[key]
            waiting.remove(wake)
            if not waiting:
                del self._waiting[key]

    def _changed(self, row: Row) -> None:
        for wake in self._waiting.get((row.tenant, row.id), ()):
            wake()
