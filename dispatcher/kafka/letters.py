"""Records that are written on as they came: dead letters, and what goes to a delay topic."""

from headrace.dispatcher.kafka.outbox import Outbox, Undeliverable
from headrace.dispatcher.metrics import Metrics
from headrace.dispatcher.verdicts import Reason
from headrace.dispatcher.waiting import Waiting
from headrace.schemas.names import RequestId
from headrace.schemas.records import Headers
from headrace.schemas.replies import PART_BYTES
from headrace.schemas.retries import dead_letter_headers
from headrace.telemetry.logs import Log
from headrace.telemetry.traces import traced


class Letters:
    """Writes them; each method returns when Kafka has acknowledged the record."""

    def __init__(
        self, dead_letters: str, *, outbox: Outbox, bulk: Outbox, metrics: Metrics, log: Log
    ) -> None:
        """`dead_letters` is the topic; `bulk` compresses."""
        self._dead_letters = dead_letters
        self._outbox = outbox
        self._bulk = bulk
        self._metrics = metrics
        self._log = log

    async def bury(self, waiting: Waiting, reason: Reason, message: str) -> None:
        """Keep a request as a dead letter."""
        headers = dead_letter_headers(
            waiting.headers, waiting.source, reason=reason.value, history=waiting.history
        )
        await self.bury_record(waiting.record.body, waiting.id, headers, reason)
        self._log.warning(
            "dead_lettered",
            request_id=waiting.id,
            tenant=waiting.record.tenant,
            lane=waiting.lane,
            model=waiting.model,
            attempt=waiting.attempt,
            code=reason.value,
            reason=message,
            **traced(waiting.record.traceparent),
        )

    async def bury_record(
        self, value: bytes | None, request_id: RequestId, headers: Headers, reason: Reason
    ) -> None:
        """Keep a record with the headers of a dead letter."""
        try:
            await self.keep(self._dead_letters, value, request_id, headers)
        except Undeliverable as error:
            # Too large even when packed: its owner is told all the same, and the partition goes on.
            self._log.error("dead_letter_lost", request_id=request_id, reason=str(error))
        self._metrics.dead_letter(reason)

    async def keep(
        self, topic: str, value: bytes | None, request_id: RequestId, headers: Headers
    ) -> None:
        """Write a record on. Raises `Undeliverable`.

        Its producer may have compressed it, and else it would not fit again.
        """
        outbox = self._bulk if value is not None and len(value) > PART_BYTES else self._outbox
        await outbox.send(topic, value, key=request_id.encode(), headers=list(headers))
