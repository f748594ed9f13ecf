"""Each request in the metrics and in the log, once, when its exchange has ended."""

from collections.abc import Callable

from headrace.ingress.metrics import Metrics
from headrace.ingress.refusal import Refusal
from headrace.ingress.waiter import Waiter
from headrace.schemas.errors import Code
from headrace.schemas.records import RequestRecord
from headrace.schemas.replies import Reply
from headrace.telemetry.logs import Log
from headrace.telemetry.traces import traced

_UNTRACED: dict[str, str] = {}


class Accounts:
    """Counts and logs. Successes are logged at debug level only: a line a request is a cost."""

    def __init__(self, metrics: Metrics, log: Log, monotonic: Callable[[], float]) -> None:
        self._metrics = metrics
        self._log = log
        self._monotonic = monotonic

    def ended(
        self, record: RequestRecord, waiter: Waiter, refused: Refusal | None, started: float
    ) -> None:
        """The client has its answer, or has left without."""
        self.told(record, waiter.final or refused or waiter.failure, started)

    def told(self, record: RequestRecord, end: Reply | Refusal | None, started: float) -> None:
        """A client was told `end`; None: it has left without an answer."""
        if isinstance(end, Reply):
            outcome = end.outcome.value if end.outcome is not None else "completed"
            self._tell(record, outcome, end.code, end.status, started)
        elif end is not None:
            self._tell(record, "failed", end.code.value, end.spec.status, started)
        else:
            self._tell(record, "cancelled", Code.CANCELLED.value, 499, started)

    def accepted(self, record: RequestRecord, refused: Refusal | None, started: float) -> None:
        """A job was accepted, or refused."""
        if refused is not None:
            self._tell(record, "failed", refused.code.value, refused.spec.status, started)
        else:
            self._tell(record, "accepted", "", 202, started)

    def _tell(
        self, record: RequestRecord, outcome: str, code: str, status: int, started: float
    ) -> None:
        elapsed = self._monotonic() - started
        self._metrics.request(record.model, record.lane, outcome, elapsed)
        tell = self._log.debug if status < 400 else self._log.info
        tell(
            "request_done", request_id=record.id, tenant=record.tenant, model=record.model, lane=record.lane,
            outcome=outcome, status=status, code=code, dur_ms=round(elapsed * 1000, 1),
            **(traced(record.traceparent) if record.traceparent else _UNTRACED),
        )  # fmt: skip
