"""Producers that do not give up: a record is acknowledged by Kafka, or refused for good.

aiokafka's idempotent producer can die (a sequence out of order, a fenced id) and then refuses every
record; such a one is closed and replaced here, and the record is sent again. A repeat that this may
cause carries the same request id, so readers drop it.
"""

import asyncio
from asyncio import Future
from collections.abc import Callable
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import (
    InvalidTopicError,
    KafkaError,
    MessageSizeTooLargeError,
    RecordListTooLargeError,
    TopicAuthorizationFailedError,
)
from aiokafka.structs import RecordMetadata

from headrace.dispatcher.kafka.connection import MAX_REQUEST_BYTES, client_options
from headrace.schemas.config.model import KafkaConfig
from headrace.telemetry.logs import Log

Headers = list[tuple[str, bytes]]
_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 5.0
_PERMANENT = (
    InvalidTopicError,
    MessageSizeTooLargeError,
    RecordListTooLargeError,
    TopicAuthorizationFailedError,
)


class Undeliverable(Exception):
    """Kafka will never take this record: too large, no such topic name, or no right to write."""


class Outbox:
    """One supervised producer; `name` is its client id."""

    def __init__(
        self,
        kafka: KafkaConfig,
        name: str,
        log: Log,
        *,
        compression: str | None = None,
        acked: Callable[[int], None] | None = None,
    ) -> None:
        """`acked` is told the append time of every ack, for the broker's clock."""
        self._acked = acked
        self._kafka = kafka
        self._name = name
        self._log = log
        self._compression = compression
        self._producer: AIOKafkaProducer | None = None
        self._mending = asyncio.Lock()

    async def start(self) -> None:
        """Connect. Raises `KafkaError` when no broker answers."""
        self._producer = await self._connect()

    async def close(self) -> None:
        """Send what is pending, then close; may be called twice or before `start`."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await producer.stop()

    async def post(
        self,
        topic: str,
        value: bytes | None,
        *,
        key: bytes | None = None,
        headers: Headers | None = None,
        partition: int | None = None,
    ) -> "Future[RecordMetadata]":
        """Hand over one record; the future is its ack. For records that may be lost, or are repeated."""
        if self._producer is None:
            raise ConnectionError(f"{self._name} is closed")
        ack: Future[RecordMetadata] = await self._producer.send(
            topic, value, key=key, partition=partition, headers=headers
        )
        return ack

    async def send(
        self,
        topic: str,
        value: bytes | None,
        *,
        key: bytes | None = None,
        headers: Headers | None = None,
        partition: int | None = None,
    ) -> RecordMetadata:
        """Send until acknowledged. Raises `Undeliverable` when it never can be."""
        pause_s = _FIRST_PAUSE_S
        while True:
            producer = self._producer
            try:
                ack = await self.post(topic, value, key=key, headers=headers, partition=partition)
                metadata = await ack
            except _PERMANENT as error:
                raise Undeliverable(f"{topic}: {error!r}") from error
            except KafkaError as error:
                self._log.warning("kafka_send_failed", topic=topic, code=type(error).__name__)
                await asyncio.sleep(pause_s)
                pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)
                if not error.retriable:
                    await self._mend(producer)
            else:
                if self._acked is not None and metadata.timestamp is not None:
                    self._acked(metadata.timestamp)
                return metadata

    async def _mend(self, broken: AIOKafkaProducer | None) -> None:
        """Replace a producer that a fatal error has ended, once for all who noticed."""
        async with self._mending:
            if self._producer is not broken or broken is None:
                return
            fresh = await self._connect()
            self._producer = fresh
            self._log.warning("kafka_producer_replaced", client=self._name)
            try:
                await broken.stop()
            except KafkaError as error:
                self._log.info(
                    "kafka_producer_closed", client=self._name, code=type(error).__name__
                )

    async def _connect(self) -> AIOKafkaProducer:
        options: dict[str, Any] = client_options(self._kafka)
        producer = AIOKafkaProducer(
            **options,
            client_id=self._name,
            acks="all",
            enable_idempotence=True,
            linger_ms=0,
            max_request_size=MAX_REQUEST_BYTES,
            compression_type=self._compression,
        )
        await producer.start()
        return producer
