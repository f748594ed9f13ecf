"""Reads `status` and `claims` into the index for as long as the process lives.

All partitions are assigned, without a group; the index knows how far each was read. What cannot go on
(Kafka away, a full disk) is tried again, as no plain request waits for the index; what the file has of
another log is thrown away. Records are handled in small portions, so that the event loop stays free.
"""

import asyncio
import sqlite3
from collections.abc import Sequence

import msgspec
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError
from aiokafka.structs import ConsumerRecord, TopicPartition

from headrace.ingress.index.index import BATCH, Index
from headrace.ingress.index.progress import NotCaughtUp, Voided
from headrace.ingress.index.store import Place, is_broken
from headrace.ingress.kafka.connect import closed, started
from headrace.schemas import claims, status
from headrace.schemas.config.clients import client_options
from headrace.schemas.config.model import KafkaConfig
from headrace.schemas.topics import INDEXED_PARTITIONS, Topics
from headrace.telemetry.logs import Log

PORTION = 100
"""Records between two turns of the event loop: about 1 ms."""
FETCH_BYTES = 64 * 1024
"""Of each partition: an answer of megabytes would hold the event loop for 10 ms and more."""
PACE_S = 0.01
"""Between two reads while nobody waits: a fetch for each single record would cost more than the record."""
WRITE_S = 0.5
RETRY_S = 1.0
CLOSE_S = 5.0


class Follower:
    """Feeds one index. `run` it as a task; `close` when it has ended."""

    def __init__(self, kafka: KafkaConfig, index: Index, name: str, log: Log) -> None:
        topics = Topics(kafka.topic_prefix)
        self._kafka = kafka
        self._index = index
        self._name = name
        self._log = log
        self._status = topics.status
        self._topics = (topics.status, topics.claims)
        self._ends: dict[Place, int] = {}
        self._trouble = "starting"
        self._void = False
        """What the file has is of no use."""
        self._writing: asyncio.Task[None] | None = None
        self._written_at = 0.0
        self._began_at = 0.0

    @property
    def condition(self) -> str:
        """`ok`, or in plain words what the index is doing instead."""
        if self._trouble:
            return self._trouble
        if self._index.ready:
            return "ok"
        places = self._index.places
        left = sum(end - min(end, places.get(at, (0, 0))[0]) for at, end in self._ends.items())
        return f"rebuilding, {left} records left"

    async def run(self) -> None:
        """Follow until cancelled."""
        while True:
            self._began_at = asyncio.get_running_loop().time()
            try:
                await self._settled()
                if self._void:
                    await self._renew()
                await self._index.open()
                # Nothing more is read while what was read cannot be written: memory is bounded.
                await self._index.write()
                await self._follow()
            except Voided as error:
                self._log.warning("index_voided", reason=str(error))
                self._void = True
            except (KafkaError, sqlite3.Error, OSError, TimeoutError) as error:
                self._say(error)
                self._void = self._void or (isinstance(error, sqlite3.Error) and is_broken(error))
                await asyncio.sleep(RETRY_S)

    async def close(self) -> None:
        """Write what was read, and leave the file to others."""
        try:
            await self._settled()
            async with asyncio.timeout(CLOSE_S):
                await self._index.write()
        except (sqlite3.Error, TimeoutError) as error:
            self._log.warning("index_failed", error=repr(error))
        await self._index.close()

    def _say(self, error: Exception) -> None:
        trouble = f"waiting: {type(error).__name__}"
        if trouble != self._trouble:
            self._trouble = trouble
            self._log.warning("index_failed", error=repr(error))

    async def _renew(self) -> None:
        self._ends.clear()
        await self._index.renew()
        self._void = False

    async def _follow(self) -> None:
        """Read until something stands against it, which is raised."""
        consumer = AIOKafkaConsumer(
            **client_options(self._kafka),
            client_id=self._name,
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            fetch_max_wait_ms=250,
            max_partition_fetch_bytes=FETCH_BYTES,
        )
        try:
            await started(consumer.start())
            await self._seek(consumer)
            self._index.connect(lambda place: _end_of(consumer, place))
            self._trouble = ""
            while True:
                await self._step(consumer)
        finally:
            self._index.connect(None)
            await closed(consumer.stop())

    async def _seek(self, consumer: AIOKafkaConsumer) -> None:
        """Begin each partition at the last record that was read, so that its time can be compared."""
        all_places = [
            TopicPartition(topic, number)
            for topic in self._topics
            for number in range(INDEXED_PARTITIONS)
        ]
        consumer.assign(all_places)
        first = await consumer.beginning_offsets(all_places)
        end = await consumer.end_offsets(all_places)
        for tp in all_places:
            place = tp.topic, tp.partition
            after, at_ms = self._index.places.get(place, (0, 0))
            if after > end[tp]:
                raise Voided(f"{tp.topic}-{tp.partition} ends at {end[tp]}, before {after}")
            consumer.seek(tp, max(first[tp], after - 1))
            if after <= first[tp]:
                self._index.advance(place, first[tp], at_ms)
            self._ends.setdefault(place, end[tp])
        self._look_ready()

    async def _step(self, consumer: AIOKafkaConsumer) -> None:
        index = self._index
        if index.broken:
            raise Voided("the file is damaged")
        index.progress.wanted.clear()
        batches = await consumer.getmany(timeout_ms=250, max_records=PORTION)
        for tp, records in batches.items():
            self._take((tp.topic, tp.partition), records)
        if not index.ready:
            if not batches:
                await self._pass_gaps(consumer)
            self._look_ready()
        await self._write_sometimes()
        if sum(map(len, batches.values())) >= PORTION:
            await asyncio.sleep(0)
        elif batches and not index.progress.hurried:
            await _pause(index.progress.wanted)

    def _take(
        self, place: Place, records: Sequence["ConsumerRecord[bytes | None, bytes | None]"]
    ) -> None:
        after, at_ms = self._index.places.get(place, (0, 0))
        is_status = place[0] == self._status
        for record in records:
            if record.offset < after:
                if record.offset == after - 1 and at_ms not in (0, record.timestamp):
                    raise Voided(f"{place[0]}-{place[1]} has another record at {record.offset}")
                continue
            try:
                if is_status:
                    state = status.decode(record.value or b"")
                    self._index.state(record.key or b"", state, record.timestamp)
                else:
                    entry = claims.decode(record.value or b"")
                    self._index.entry(entry, place[1], record.offset, record.timestamp)
            except msgspec.MsgspecError as error:
                self._log.warning(
                    "index_record_unreadable", topic=place[0], partition=place[1],
                    offset=record.offset, error=str(error),
                )  # fmt: skip
        last = records[-1]
        if last.offset >= after:
            self._index.advance(place, last.offset + 1, last.timestamp)

    async def _pass_gaps(self, consumer: AIOKafkaConsumer) -> None:
        """Offsets without a record, as retention leaves them, are read as soon as they are passed."""
        for place, end in self._ends.items():
            after, at_ms = self._index.places.get(place, (0, 0))
            if after < end:
                position = await consumer.position(TopicPartition(*place))
                if position > after:
                    self._index.advance(place, position, at_ms)

    def _look_ready(self) -> None:
        places = self._index.places
        if not self._index.ready and all(
            places.get(place, (0, 0))[0] >= end for place, end in self._ends.items()
        ):
            self._index.ready = True
            took_s = asyncio.get_running_loop().time() - self._began_at
            self._index.progress.recovery_s = took_s
            self._log.info("index_ready", count=sum(after for after, _ in places.values()))

    async def _write_sometimes(self) -> None:
        now = asyncio.get_running_loop().time()
        if self._writing is not None and (
            self._writing.done() or self._index.unwritten >= 2 * BATCH
        ):
            await self._settled()
        due = self._index.unwritten >= BATCH or now - self._written_at >= WRITE_S
        if self._writing is None and due:
            self._written_at = now
            self._writing = asyncio.create_task(self._index.write(), name="index-write")

    async def _settled(self) -> None:
        """Wait for the writing that runs. Raises what it raised."""
        writing, self._writing = self._writing, None
        if writing is not None:
            await writing


async def _end_of(consumer: AIOKafkaConsumer, place: Place) -> int:
    tp = TopicPartition(*place)
    try:
        found: dict[TopicPartition, int] = await consumer.end_offsets([tp])
    except KafkaError as error:
        raise NotCaughtUp(type(error).__name__) from error
    return found[tp]


async def _pause(unless: asyncio.Event) -> None:
    """Let records gather, unless somebody wants them."""
    try:
        async with asyncio.timeout(PACE_S):
            await unless.wait()
    except TimeoutError:
        return
