"""The settings of an installation, read to their end and changed; every wait is bounded."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TypeVar
from uuid import uuid4

import msgspec
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from headrace.cli.settings.errors import Conflict, Refused, TopicMissing
from headrace.cli.topics.admin import STEP_LIMIT_S, bounded_write, connect, troubles_told
from headrace.dispatcher.kafka.closing import end_consumer, end_producer
from headrace.schemas.config.clients import client_options
from headrace.schemas.config.model import Config
from headrace.schemas.settings import (
    MOST,
    SETTINGS_PARTITION,
    Breaker,
    Kept,
    Limit,
    Pause,
    Settings,
    Took,
    encode,
    key_of,
    place_of,
)
from headrace.schemas.topics import Topics

POLL_MS = 200
S = TypeVar("S", Pause, Limit, Breaker)


class Desk:
    """See `open_desk`."""

    def __init__(self, topic: str, consumer: AIOKafkaConsumer, producer: AIOKafkaProducer) -> None:
        self.settings = Settings()
        self._place = TopicPartition(topic, SETTINGS_PARTITION)
        self._consumer = consumer
        self._producer = producer
        self._keys: set[bytes] = set()
        """Those of all records that were not deleted."""

    async def read(self) -> None:
        """Know what is set now."""
        ends = await self._consumer.end_offsets([self._place])
        await self._read_to(ends[self._place])

    def version(self, place: str, seen: int | None) -> int:
        """The version of the next change there. `seen`: the one that the operator has looked at.

        Errors: `Conflict` if that is not the present one; `Refused` if nothing more can be set.
        """
        kept = self.settings.at(place)
        known = 0 if kept is None else kept.setting.version
        if seen is not None and seen != known:
            raise Conflict(f"{place} is at version {known} now, not {seen}{_whose(kept)}")
        if kept is None and self.settings.full:
            raise Refused(f"{MOST} things are set already")
        return known + 1

    async def write(self, setting: S) -> S:
        """Make a change. Returns it as it counts once it stands in the log before any other.

        Errors: `Conflict`; `TimeoutError`, after which it may have been made all the same.
        """
        async with bounded_write():
            return await self._write(setting)

    async def _write(self, setting: S) -> S:
        key = key_of(setting, uuid4().hex)
        ack = await self._send(key, encode(setting))
        await self._read_to(ack + 1)
        kept = self.settings.at(setting.place)
        if kept is None or kept.key != key:
            await self._send(key, None)
            told = f"{setting.place} was changed meanwhile{_whose(kept)}: look at it, and repeat"
            raise Conflict(told)
        for old in [one for one in self._keys if one != key and place_of(one) == place_of(key)]:
            await self._send(old, None)
        return msgspec.structs.replace(
            setting, at_ms=kept.setting.at_ms, until_ms=kept.setting.until_ms
        )

    async def _send(self, key: bytes, value: bytes | None) -> int:
        sent = await self._producer.send_and_wait(
            self._place.topic, value, key=key, partition=self._place.partition
        )
        return int(sent.offset)

    async def _read_to(self, end: int) -> None:
        while await self._consumer.position(self._place) < end:
            batches = await self._consumer.getmany(self._place, timeout_ms=POLL_MS)
            for record in batches.get(self._place, ()):
                took = self.settings.take(record.key, record.value, record.timestamp)
                key = record.key or b""
                if record.value is None:
                    self._keys.discard(key)
                elif took in (Took.COUNTS, Took.STALE):
                    self._keys.add(key)


@asynccontextmanager
async def open_desk(config: Config) -> AsyncIterator[Desk]:
    """Connect, and read what is set; every wait is bounded. Errors: `TopicMissing`, `TopicsError`."""
    topic = Topics(config.kafka.topic_prefix).settings
    async with connect(config.kafka) as admin:
        if topic not in await admin.partitions([topic]):
            raise TopicMissing(f"there is no topic {topic}: run headrace topics apply")
    options = client_options(config.kafka)
    consumer = AIOKafkaConsumer(
        **options, group_id=None, enable_auto_commit=False, auto_offset_reset="earliest"
    )
    producer = AIOKafkaProducer(**options, acks="all", enable_idempotence=True)
    with troubles_told(config.kafka):
        try:
            async with asyncio.timeout(STEP_LIMIT_S):
                await consumer.start()
                place = TopicPartition(topic, SETTINGS_PARTITION)
                consumer.assign([place])
                await consumer.seek_to_beginning(place)
                await producer.start()
                desk = Desk(topic, consumer, producer)
                await desk.read()
            yield desk
        finally:
            await end_producer(producer)
            await end_consumer(consumer)


def _whose(kept: Kept | None) -> str:
    if kept is None:
        return ""
    by, reason = kept.setting.by, kept.setting.reason
    return (f", by {by}" if by else "") + (f" ({reason})" if reason else "")
