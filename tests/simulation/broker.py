"""An in-memory Kafka: partitions with the broker's append time, commits, groups with eager rebalances.

Every request takes a while to arrive and a while to be answered, both drawn from the seed. What has been
sent arrives, whatever becomes of its sender; while the broker is down it waits.
"""

import asyncio
import contextvars
import hashlib
import random
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from aiokafka import TopicPartition
from aiokafka.structs import ConsumerRecord, OffsetAndMetadata, RecordMetadata
from simulation.clock import Process, VirtualLoop
from simulation.groups import Group

from headrace.schemas.topics import key_partition

Headers = Sequence[tuple[str, bytes]]
Record = ConsumerRecord[bytes, bytes]
SLOW = 0.01
"""How many requests or answers in one take a second instead of milliseconds."""


class Append(msgspec.Struct, frozen=True):
    """One record on its way."""

    place: TopicPartition
    key: bytes | None
    value: bytes | None
    headers: Headers


class Broker:
    """All topics of one run."""

    def __init__(self, loop: VirtualLoop, rng: random.Random, topics: dict[str, int]) -> None:
        self.loop = loop
        self.rng = rng
        self.topics = topics
        self.logs = {
            TopicPartition(t, n): list[Record]() for t, c in topics.items() for n in range(c)
        }
        self.groups: dict[str, Group] = {}
        self.digest = hashlib.sha256()
        self.down_until = 0.0
        self.complaints: list[str] = []
        """What went wrong in the product's own code where a library would swallow it."""
        self.doubtful: set[bytes | None] = set()
        """Keys of records whose producer died before it knew that they were written: it writes them again."""
        self.appended: list[Callable[[Record, Process | None], None]] = []
        """Told of each record; a fault may strike there."""
        self.committed: list[Callable[[str, TopicPartition, OffsetAndMetadata], None]] = []
        self._waiting: dict[TopicPartition, list[asyncio.Future[None]]] = {}
        self._context = contextvars.Context()

    def group(self, name: str) -> Group:
        """The group of that name."""
        if name not in self.groups:
            self.groups[name] = Group(self, name)
        return self.groups[name]

    def later(self, delay_s: float, act: Callable[..., object], *args: Any) -> asyncio.TimerHandle:
        """Do something at the broker, whatever becomes of the process that asked."""
        return self.loop.call_later(delay_s, act, *args, context=self._context)

    def request(self, serve: Callable[[], Any]) -> "asyncio.Future[Any]":
        """Send a request; the future is its answer: a value, an exception, or a future of the broker's."""
        answer = self.loop.create_future()
        self.later(self._way_s(), self._serve, serve, answer)
        return answer

    def append(self, records: Sequence[Append], process: Process | None) -> list[RecordMetadata]:
        """Write a batch."""
        return [self._append(one, process) for one in records]

    def produce(self, topic: str, value: bytes | None, *, key: bytes | None, headers: Headers,
                partition: int | None = None) -> "asyncio.Future[list[RecordMetadata]]":  # fmt: skip
        """As a client of somebody else writes."""
        count = self.topics[topic]
        place = key_partition(key or b"", count) if partition is None else partition
        one = Append(TopicPartition(topic, place), key, value, headers)
        return self.request(lambda: self.append([one], None))

    def arrival(self, places: Sequence[TopicPartition]) -> "asyncio.Future[None]":
        """Resolved when a record comes to one of `places`."""
        waiter = self.loop.create_future()
        for place in places:
            others = self._waiting.get(place, ())
            self._waiting[place] = [*(other for other in others if not other.done()), waiter]
        return waiter

    def note(self, *what: object) -> None:
        """Make something part of what a repetition must do again."""
        self.digest.update(repr((round(self.loop.time(), 6), *what)).encode())

    def _append(self, one: Append, process: Process | None) -> RecordMetadata:
        log, place = self.logs[one.place], one.place
        record = ConsumerRecord(
            topic=place.topic,
            partition=place.partition,
            offset=len(log),
            timestamp=self.loop.epoch_ms,
            timestamp_type=1,
            key=one.key,
            value=one.value,
            checksum=None,
            serialized_key_size=len(one.key or b""),
            serialized_value_size=len(one.value or b""),
            headers=tuple(one.headers),
        )
        log.append(record)
        self.note(place, record.offset, one.key, one.value, record.headers)
        for told in self.appended:
            told(record, process)
        for waiter in self._waiting.pop(place, ()):
            if not waiter.done():
                waiter.set_result(None)
        return RecordMetadata(
            place.topic, place.partition, place, record.offset, record.timestamp, 1, 0
        )

    def _serve(self, serve: Callable[[], Any], answer: "asyncio.Future[Any]") -> None:
        if self.loop.time() < self.down_until:
            self.later(self.down_until - self.loop.time(), self._serve, serve, answer)
            return
        try:
            value = serve()
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the answer
            self.later(self._way_s(), _fail, answer, error)
            return
        if isinstance(value, asyncio.Future):
            value.add_done_callback(
                lambda done: self.later(self._way_s(), _copy, done, answer), context=self._context
            )
            return
        self.later(self._way_s(), _answer, answer, value)

    def _way_s(self) -> float:
        if self.rng.random() < SLOW:
            return self.rng.uniform(0.2, 1.5)
        return self.rng.uniform(0.0002, 0.004)


def _answer(answer: "asyncio.Future[Any]", value: object) -> None:
    if not answer.done():
        answer.set_result(value)


def _fail(answer: "asyncio.Future[Any]", error: BaseException) -> None:
    if not answer.done():
        answer.set_exception(error)


def _copy(done: "asyncio.Future[Any]", answer: "asyncio.Future[Any]") -> None:
    error = done.exception()
    if error is not None:
        _fail(answer, error)
    else:
        _answer(answer, done.result())
