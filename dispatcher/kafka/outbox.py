"""Producers that do not give up: a record is acknowledged by Kafka, or refused for good.

aiokafka's idempotent producer can die (a sequence out of order, a fenced id) and then refuses every
record; such a one is closed and replaced here, and the record is sent again. A repeat that this may
cause carries the same request id, so readers drop it. A Kafka that is away kills no producer.
"""

import asyncio
from asyncio import Future
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from typing import Any

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import (
    InvalidTopicError,
    KafkaConnectionError,
    KafkaError,
    KafkaTimeoutError,
    MessageSizeTooLargeError,
    RecordListTooLargeError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
)
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.structs import RecordMetadata

from headrace.dispatcher.kafka.closing import end_producer
from headrace.schemas.config.clients import client_options
from headrace.schemas.config.model import KafkaConfig
from headrace.schemas.topics import MAX_PACKED_BYTES
from headrace.telemetry.logs import Log

Headers = list[tuple[str, bytes]]
MAX_REQUEST_BYTES = 8 * 1024 * 1024
"""Above the largest record limit (4 MiB and headers): the broker's limit decides, not the client's."""
BATCH_BYTES = 512 * 1024
"""All answers of an ingress go to one partition, and a full batch makes its writers wait: with aiokafka's
16 KiB and one request in flight, 200 streams carried 70 % of their tokens."""
LOOK_UP_MORE_S = 2.0
"""aiokafka itself gives up a topic that it does not find after one time-out of a request."""
_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 5.0
_TOO_LARGE = (MessageSizeTooLargeError, RecordListTooLargeError)
_REFUSED = (InvalidTopicError, TopicAuthorizationFailedError)
_NO_FAULT_OF_THE_PRODUCER = (*_TOO_LARGE, *_REFUSED, KafkaTimeoutError)
"""The last one: a record waited too long for room in a batch, since Kafka is away."""

Gone = Callable[[str], Awaitable[bool]]
"""Whether a broker says that a topic is no more."""


class Undeliverable(Exception):
    """Kafka will never take this record: too large, no such place, or no right to write."""


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
        self._broken: AIOKafkaProducer | None = None
        """The producer that was seen to refuse records for good."""
        self._mending = asyncio.Lock()
        self._look_up_s = kafka.request_timeout_s + LOOK_UP_MORE_S

    async def start(self) -> None:
        """Connect. Raises `KafkaError` when no broker answers."""
        self._producer = await self._connect()

    async def close(self) -> None:
        """Send what is pending, not for long, then close; may be called twice or before `start`."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await end_producer(producer)

    async def post(
        self,
        topic: str,
        value: bytes | None,
        *,
        key: bytes | None = None,
        headers: Headers | None = None,
        partition: int | None = None,
        gone: Gone | None = None,
    ) -> "Future[RecordMetadata]":
        """Hand over one record; the future is its ack. For records that may be lost.

        Raises `KafkaError`, or `Undeliverable` as `send` does.
        """
        if self._broken is not None:
            await self.ready()
        producer = self._open_producer()
        try:
            ack = await self._hand(producer, topic, value, key, headers, partition)
        except KafkaError as error:
            self._suspect(producer, error)
            if await _is_for_good(error, topic, gone):
                raise Undeliverable(f"{topic}: {error!r}") from error
            raise
        ack.add_done_callback(lambda done: self._observe(producer, done))
        return ack

    async def post_all(
        self, topic: str, records: Sequence[tuple[bytes, bytes]], *, partition: int
    ) -> "list[Future[RecordMetadata]]":
        """Hand over small records (key, value) of one partition; the futures are the acks of their batches.

        As `post`, without a future for each. Nobody else may write to that partition through this producer:
        aiokafka lets a batch wait for what stands before it.
        """
        if self._broken is not None:
            await self.ready()
        producer = self._open_producer()
        try:
            await self._find(producer, topic, partition)
            acks = []
            for batch in _batches(producer, records):
                ack = await producer.send_batch(batch, topic, partition=partition)
                ack.add_done_callback(lambda done: self._observe(producer, done))
                acks.append(ack)
        except KafkaError as error:
            self._suspect(producer, error)
            raise
        return acks

    async def ready(self) -> None:
        """Replace a producer that refuses; what it had has failed then. Raises `KafkaError`."""
        if self._broken is not None:
            await self._mend(self._broken)
            await asyncio.sleep(0)  # those who wait for its acks are told

    async def send(
        self,
        topic: str,
        value: bytes | None,
        *,
        key: bytes | None = None,
        headers: Headers | None = None,
        partition: int | None = None,
        gone: Gone | None = None,
    ) -> RecordMetadata:
        """Send until acknowledged. Raises `Undeliverable` when it never can be.

        `gone` is asked about a topic that is not ours. One of ours that is missing or denied is
        waited for: an operator can mend that, and nothing may be lost meanwhile.
        """
        pause_s = _FIRST_PAUSE_S
        while True:
            producer = self._open_producer()
            try:
                metadata = await (await self._hand(producer, topic, value, key, headers, partition))
            except KafkaError as error:
                if await _is_for_good(error, topic, gone):
                    raise Undeliverable(f"{topic}: {error!r}") from error
                self._log.warning("kafka_send_failed", topic=topic, code=type(error).__name__)
                await asyncio.sleep(pause_s)
                pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)
                if _is_fatal(error):
                    await self._try_to_mend(producer)
            else:
                if self._acked is not None and metadata.timestamp is not None:
                    self._acked(metadata.timestamp)
                return metadata

    def _open_producer(self) -> AIOKafkaProducer:
        if self._producer is None:
            raise ConnectionError(f"{self._name} is closed")
        return self._producer

    async def _hand(
        self,
        producer: AIOKafkaProducer,
        topic: str,
        value: bytes | None,
        key: bytes | None,
        headers: Headers | None,
        partition: int | None,
    ) -> "Future[RecordMetadata]":
        await self._find(producer, topic, partition)
        ack: Future[RecordMetadata] = await producer.send(
            topic, value, key=key, partition=partition, headers=headers
        )
        return ack

    async def _find(self, producer: AIOKafkaProducer, topic: str, partition: int | None) -> None:
        cluster = producer.client.cluster
        if partition is None:
            known = cluster.partitions_for_topic(topic) is not None
        else:  # without a set of all partitions
            known = cluster.leader_for_partition(TopicPartition(topic, partition)) is not None
        if known:
            return
        try:
            async with asyncio.timeout(self._look_up_s):
                await self._look_up(producer, topic, partition)
        except TimeoutError:
            # aiokafka would wait for ever where the producer is replaced meanwhile.
            raise UnknownTopicOrPartitionError(topic) from None

    async def _look_up(self, producer: AIOKafkaProducer, topic: str, partition: int | None) -> None:
        """What the producer knows may be minutes old: the topic may have grown since."""
        known = await producer.partitions_for(topic)
        if partition is None or partition in known:
            return
        if not await producer.client.force_metadata_update():
            raise KafkaConnectionError(f"no broker tells about {topic}")
        if partition not in await producer.partitions_for(topic):
            raise Undeliverable(f"{topic}: there is no partition {partition}")

    def _observe(self, producer: AIOKafkaProducer, ack: "Future[RecordMetadata]") -> None:
        error = None if ack.cancelled() else ack.exception()
        if error is not None:
            self._suspect(producer, error)

    def _suspect(self, producer: AIOKafkaProducer, error: BaseException) -> None:
        """The next record that is posted finds another producer, if this one cannot go on."""
        if _is_fatal(error) and producer is self._producer:
            self._broken = producer

    async def _try_to_mend(self, broken: AIOKafkaProducer) -> None:
        try:
            await self._mend(broken)
        except KafkaError as error:
            self._log.warning("kafka_unreachable", client=self._name, code=type(error).__name__)

    async def _mend(self, broken: AIOKafkaProducer) -> None:
        """Replace a producer that a fatal error has ended, once for all who noticed."""
        async with self._mending:
            if self._producer is not broken:
                return
            self._producer, self._broken = await self._connect(), None
            self._log.warning("kafka_producer_replaced", client=self._name)
        await end_producer(broken)

    async def _connect(self) -> AIOKafkaProducer:
        options: dict[str, Any] = client_options(self._kafka)
        producer = AIOKafkaProducer(
            **options,
            client_id=self._name,
            acks="all",
            enable_idempotence=True,
            linger_ms=0,
            max_batch_size=BATCH_BYTES,
            max_request_size=MAX_PACKED_BYTES if self._compression else MAX_REQUEST_BYTES,
            compression_type=self._compression,
        )
        try:
            await producer.start()
        except BaseException:
            await end_producer(producer)
            raise
        return producer


def _batches(
    producer: AIOKafkaProducer, records: Iterable[tuple[bytes, bytes]]
) -> Iterator[BatchBuilder]:
    batch = producer.create_batch()
    for key, value in records:
        if batch.append(timestamp=None, key=key, value=value) is None:  # it is full
            yield batch
            batch = producer.create_batch()
            batch.append(timestamp=None, key=key, value=value)
    yield batch


def _is_fatal(error: BaseException) -> bool:
    """Whether the producer that raised this will go on refusing."""
    if isinstance(error, _NO_FAULT_OF_THE_PRODUCER):
        return False
    return isinstance(error, KafkaError) and not error.retriable


async def _is_for_good(error: KafkaError, topic: str, gone: Gone | None) -> bool:
    if isinstance(error, _TOO_LARGE):
        return True
    if gone is None:
        return False
    if isinstance(error, UnknownTopicOrPartitionError):
        # Also raised where no broker could be asked.
        return await gone(topic)
    return isinstance(error, _REFUSED)
