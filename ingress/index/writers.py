"""Appends to `status` and `claims`, acknowledged by all copies, through the producer that `Link` gives."""

import asyncio

import msgspec
from aiokafka.errors import KafkaConnectionError, KafkaTimeoutError
from aiokafka.structs import RecordMetadata

from headrace.ingress.kafka.producer import Producer
from headrace.schemas import claims, status
from headrace.schemas.claims import Entry
from headrace.schemas.status import Status, indexed_partition, status_key
from headrace.schemas.topics import Topics


class Place(msgspec.Struct, frozen=True):
    """Where a record stands, and its append time in epoch ms."""

    partition: int
    offset: int
    at_ms: int


class Appender:
    """One key, one value, one ack. `grace_s` bounds the wait for it."""

    def __init__(self, grace_s: float) -> None:
        self._grace_s = grace_s
        self._producer: Producer | None = None

    def connect(self, producer: Producer) -> None:
        """Send through `producer`."""
        self._producer = producer

    def disconnect(self) -> None:
        """Refuse until the next `connect`."""
        self._producer = None

    async def append(self, topic: str, key: bytes, value: bytes) -> RecordMetadata:
        """Write to one of the topics with a fixed number of partitions.

        Raises `KafkaError`; the record may have been written all the same.
        """
        if self._producer is None:
            raise KafkaConnectionError("not connected")
        try:
            async with asyncio.timeout(self._grace_s):
                partition = indexed_partition(key)
                ack = await self._producer.send(
                    topic, value, key=key, partition=partition, headers=[]
                )
                ack.add_done_callback(_seen)
                return await asyncio.shield(ack)
        except TimeoutError:
            raise KafkaTimeoutError(f"no ack within {self._grace_s} s") from None


def _seen(ack: "asyncio.Future[RecordMetadata]") -> None:
    """Nobody may be waiting any more when it fails."""
    if not ack.cancelled():
        ack.exception()


class StatusWriter:
    """Writes states."""

    def __init__(self, appender: Appender, topics: Topics) -> None:
        self._appender = appender
        self._topic = topics.status

    async def put(self, state: Status) -> None:
        """Have it acknowledged. Raises `KafkaError`, written or not."""
        key = status_key(state.tenant, state.id)
        await self._appender.append(self._topic, key, status.encode(state))


class ClaimWriter:
    """Writes claims, orphans and what takes them up."""

    def __init__(self, appender: Appender, topics: Topics) -> None:
        self._appender = appender
        self._topic = topics.claims

    async def append(self, entry: Entry) -> Place:
        """Have it acknowledged; where it stands. Raises `KafkaError`, written or not."""
        key = claims.entry_key(entry)
        ack = await self._appender.append(self._topic, key, claims.encode(entry))
        return Place(ack.partition, ack.offset, ack.timestamp or 0)
