"""Follows `limits.outlook` as long as the process lives; without it nothing is refused or told of limits."""

import asyncio
from typing import Any

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

from headrace.ingress.forecast import Forecast
from headrace.ingress.kafka.connect import closed, started
from headrace.schemas.outlook import OUTLOOK_PARTITION, decode
from headrace.telemetry.logs import Log
from headrace.telemetry.tasks import is_cancelled

RETRY_S = 5.0
FETCH_WAIT_MS = 500


class OutlookReader:
    """Feeds one `Forecast`; `run` it as a task."""

    def __init__(
        self, options: dict[str, Any], topic: str, name: str, forecast: Forecast, log: Log
    ) -> None:
        self._options = options
        self._place = TopicPartition(topic, OUTLOOK_PARTITION)
        self._name = name
        self._forecast = forecast
        self._log = log

    async def run(self) -> None:
        """Read what comes from now on until cancelled; a Kafka that is away is tried again."""
        while True:
            try:
                await self._read()
            except (KafkaError, OSError) as error:
                self._log.warning("outlook_unreadable", error=repr(error))
            except asyncio.CancelledError:
                if is_cancelled():
                    raise
                self._log.warning("outlook_unreadable", error="cancelled by the client")
            await asyncio.sleep(RETRY_S)

    async def _read(self) -> None:
        consumer = AIOKafkaConsumer(
            **self._options,
            client_id=f"{self._name}-outlook",
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="latest",
            fetch_max_wait_ms=FETCH_WAIT_MS,
        )
        try:
            consumer.assign([self._place])
            await started(consumer.start())
            await consumer.seek_to_end(self._place)
            while True:
                batches = await consumer.getmany(self._place, timeout_ms=1_000)
                for record in batches.get(self._place, ()):
                    outlook = decode(record.value)
                    if outlook is not None:
                        self._forecast.take(outlook, record.timestamp)
        finally:
            await closed(consumer.stop())
