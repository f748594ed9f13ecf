"""Cancels on their way to every dispatcher. Kept until Kafka has taken them: a request that was told
503 may have been written all the same, and must not run for nobody.
"""

import asyncio
import contextlib
from asyncio import Future

from aiokafka.errors import KafkaError
from aiokafka.structs import RecordMetadata

from headrace.ingress.kafka.producer import Producer
from headrace.schemas.names import Identity
from headrace.schemas.replies import Cancel, encode_cancel
from headrace.telemetry.logs import Log

RETRY_S = 0.5
CLOSE_S = 2.0
MAX_CANCELS = 20_000
"""Kept while Kafka is away; beyond it the oldest go, and their requests may run in vain."""


class Cancels:
    """Writes to `control` through the producer that `Link` gives it."""

    def __init__(self, control: str, source: bytes, log: Log) -> None:
        self._control = control
        self._source = source
        self._log = log
        self._producer: Producer | None = None
        self._kept: dict[Identity, Cancel] = {}
        self._wanted = asyncio.Event()

    def connect(self, producer: Producer) -> None:
        """Send through `producer`."""
        self._producer = producer

    def disconnect(self) -> None:
        """Keep what comes until the next `connect`."""
        self._producer = None

    def add(self, cancel: Cancel) -> None:
        """Have every dispatcher drop the request that it names."""
        if len(self._kept) >= MAX_CANCELS:
            oldest = next(iter(self._kept))
            del self._kept[oldest]
            self._log.warning("cancel_dropped", tenant=oldest[0], request_id=oldest[1])
        self._kept[cancel.tenant, cancel.id] = cancel
        self._wanted.set()

    async def run(self) -> None:
        """Send cancels as they come; what fails is tried again after `RETRY_S`."""
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            await self._send()
            if self._kept:
                await asyncio.sleep(RETRY_S)
                self._wanted.set()

    async def flush(self) -> None:
        """Send what is kept, once and not for long: the process ends."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_S):
                await self._send()

    async def _send(self) -> None:
        acks: list[tuple[Identity, Future[RecordMetadata]]] = []
        try:
            for request, cancel in list(self._kept.items()):
                if self._producer is None:
                    break
                headers = encode_cancel(cancel, self._source)
                key = cancel.id.encode()
                ack = await self._producer.send(self._control, b"", key=key, headers=headers)
                acks.append((request, ack))
            for request, ack in acks:
                await ack
                self._kept.pop(request, None)
        except KafkaError as error:
            self._log.warning("cancel_failed", error=repr(error), count=len(self._kept))
