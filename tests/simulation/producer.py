"""The double of aiokafka's producer, as far as the dispatcher's adapters use it."""

import asyncio
from types import SimpleNamespace
from typing import Any

from aiokafka import TopicPartition
from aiokafka.errors import OutOfOrderSequenceNumber
from aiokafka.structs import RecordMetadata
from simulation.broker import Append, Broker
from simulation.clock import CURRENT

from headrace.schemas.topics import key_partition

DIES = 0.0005
"""How many of a producer's requests in one end it for good, although they were carried out."""


class Batch:
    """Records that are sent together; there is always room."""

    def __init__(self) -> None:
        self.records: list[tuple[bytes, bytes]] = []

    def append(self, *, key: bytes, value: bytes, **_more: Any) -> object:
        self.records.append((key, value))
        return self


class Producer:
    """Idempotent: one request at a time, in order, until it is answered."""

    def __init__(self, broker: Broker, **_options: Any) -> None:
        self._broker = broker
        self._pending: list[tuple[Append, asyncio.Future[RecordMetadata]]] = []
        self._sent: list[tuple[Append, asyncio.Future[RecordMetadata]]] = []
        self._busy = False
        self._dead = False
        topics = broker.topics
        cluster = SimpleNamespace(
            partitions_for_topic=lambda topic: (
                set(range(topics[topic])) if topic in topics else None
            ),
            leader_for_partition=lambda place: (
                0 if place.partition < topics.get(place.topic, 0) else None
            ),
        )
        self.client = SimpleNamespace(cluster=cluster, force_metadata_update=self._refresh)

    async def start(self) -> None:
        await self._broker.request(lambda: None)

    async def stop(self) -> None:
        acks = [ack for _, ack in (*self._sent, *self._pending)]
        if acks:
            await asyncio.wait(acks)

    async def partitions_for(self, topic: str) -> set[int]:
        return set(range(self._broker.topics.get(topic, 0)))

    async def send(
        self,
        topic: str,
        value: bytes | None = None,
        key: bytes | None = None,
        partition: int | None = None,
        timestamp_ms: int | None = None,
        headers: Any = None,
    ) -> "asyncio.Future[RecordMetadata]":
        if self._dead:
            raise OutOfOrderSequenceNumber
        count = self._broker.topics[topic]
        if partition is None:
            partition = (
                key_partition(key, count) if key is not None else self._broker.rng.randrange(count)
            )
        ack: asyncio.Future[RecordMetadata] = asyncio.get_running_loop().create_future()
        self._pending.append(
            (Append(TopicPartition(topic, partition), key, value, headers or ()), ack)
        )
        if not self._busy:
            self._busy = True
            asyncio.get_running_loop().call_soon(self._ship)
        return ack

    async def send_and_wait(
        self, topic: str, value: bytes | None = None, **more: Any
    ) -> RecordMetadata:
        return await (await self.send(topic, value, **more))

    @staticmethod
    def create_batch() -> "Batch":
        return Batch()

    async def send_batch(
        self, batch: "Batch", topic: str, *, partition: int
    ) -> "asyncio.Future[RecordMetadata]":
        acks = [await self.send(topic, value, key, partition) for key, value in batch.records]
        return acks[0]

    def _ship(self) -> None:
        batch = self._sent = self._pending
        self._pending = []
        process = CURRENT.get()
        dies = self._broker.rng.random() < DIES

        def serve() -> list[RecordMetadata]:
            places = self._broker.append([one for one, _ in batch], process)
            if dies:
                self._broker.doubtful.update(one.key for one, _ in batch)
                raise OutOfOrderSequenceNumber
            return places

        self._broker.request(serve).add_done_callback(lambda done: self._acked(batch, done))

    def _acked(
        self,
        batch: list[tuple[Append, "asyncio.Future[RecordMetadata]"]],
        done: "asyncio.Future[list[RecordMetadata]]",
    ) -> None:
        self._busy, self._sent = False, []
        error = done.exception()
        if error is not None:
            self._dead = True
            batch, self._pending = batch + self._pending, []
        for number, (_, ack) in enumerate(batch):
            if ack.done():
                continue
            if error is not None:
                ack.set_exception(error)
                ack.exception()  # whoever only posted it does not ask
            else:
                ack.set_result(done.result()[number])
        if self._pending:
            self._busy = True
            self._ship()

    async def _refresh(self) -> bool:
        return True
