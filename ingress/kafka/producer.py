"""A producer that can be abandoned.

aiokafka's idempotent producer never gives a batch up: after an outage it would write requests whose
clients were told 503 long ago. Its own `stop` waits for them. `abandon` forgets them instead.
"""

import asyncio
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import (
    KafkaConnectionError,
    KafkaError,
    NodeNotReadyError,
    UnknownTopicOrPartitionError,
)
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.structs import RecordMetadata

from headrace.ingress.kafka.connect import closed
from headrace.ingress.kafka.rights import RightsRequest, RightsResponse
from headrace.schemas.topics import RECORD_BYTES

BATCH_BYTES = 1_000_000
"""Larger than the usual backlog of a partition: `send` waits only when one is full."""
LOOK_UP_S = 2.0
"""How long a topic is looked for that was there and is not any more."""


class Producer(AIOKafkaProducer):
    """A producer with `acks=all` and no linger."""

    def __init__(
        self,
        options: dict[str, Any],
        *,
        name: str,
        compression: str | None = None,
        max_record: int = RECORD_BYTES,
        idempotent: bool = True,
    ) -> None:
        """`max_record` in bytes, before compression."""
        super().__init__(  # type: ignore[no-untyped-call]
            **options,
            client_id=name,
            acks="all",
            enable_idempotence=idempotent,
            linger_ms=0,
            max_batch_size=BATCH_BYTES,
            max_request_size=max_record,
            compression_type=compression,
        )

    if TYPE_CHECKING:  # the library publishes no type hints

        async def start(self) -> None: ...

    async def send(  # type: ignore[override]  # without what this room never says
        self,
        topic: str,
        value: bytes | None,
        *,
        key: bytes,
        partition: int | None = None,
        headers: list[tuple[str, bytes]],
    ) -> asyncio.Future[RecordMetadata]:
        """Hand a record over; the future is its ack. Raises `KafkaError`.

        A topic that the metadata lack, as one that was deleted, is looked up, but not for long: aiokafka
        would wait for it for ever where the producer is abandoned meanwhile.
        """
        sent: Coroutine[Any, Any, asyncio.Future[RecordMetadata]] = super().send(  # type: ignore[no-untyped-call]
            topic, value, key=key, partition=partition, headers=headers
        )
        if self._knows(topic, partition):
            return await sent
        try:
            async with asyncio.timeout(LOOK_UP_S):
                return await sent
        except TimeoutError:
            raise UnknownTopicOrPartitionError(topic) from None

    @property
    def dead(self) -> bool:
        """Whether the sending task has ended: the producer must be replaced."""
        task = self._sender.sender_task
        return task is not None and task.done()

    def partitions_of(self, topic: str) -> int:
        """How many partitions the last metadata gave `topic`; 0 for a topic that is not there."""
        return len(self.client.cluster.partitions_for_topic(topic) or ())

    def _knows(self, topic: str, partition: int | None) -> bool:
        if partition is None:
            return self.partitions_of(topic) > 0
        place = TopicPartition(topic, partition)  # asked so, no set of all partitions is made
        return self.client.cluster.leader_for_partition(place) is not None

    async def rights_on(self, topics: list[str]) -> RightsResponse:
        """What the brokers say of `topics`. Raises `KafkaError` when none answers.

        Each may be asked: one that is being restarted says nothing of the others.
        """
        first = self.client.get_random_node()
        known = [one.nodeId for one in self.client.cluster.brokers()]
        away: KafkaError = KafkaConnectionError("no broker is known")
        for node in sorted(known, key=lambda one: one != first):
            try:
                response: RightsResponse = await self.client.send(node, RightsRequest(topics))
            except (KafkaConnectionError, NodeNotReadyError) as error:
                away = error
            else:
                return response
        raise away

    async def learn(self, topics: list[str]) -> bool:
        """Read the leaders of `topics` anew; False if no broker answered. They must exist: a broker
        that creates topics by itself would create a missing one here.
        """
        await self.client.set_topics(topics)
        return bool(await self.client.force_metadata_update())

    async def abandon(self) -> None:
        """Close at once: what has no ack yet fails with `KafkaConnectionError`, written or not."""
        self._closed = True
        self._message_accumulator.fail_all(KafkaConnectionError("abandoned"))
        task = self._sender.sender_task
        # Its first cancel makes the sender wait for its produce calls; each further one is passed
        # on to the call it waits for.
        while task is not None and not task.done():
            task.cancel()
            await asyncio.sleep(0)
        await closed(self.client.close())


def size_of(key: bytes, value: bytes, headers: list[tuple[str, bytes]]) -> int:
    """Bytes of a record in a batch of its own, not compressed, at most."""
    every: list[tuple[str, bytes | None]] = [*headers]
    return DefaultRecordBatchBuilder.estimate_size_in_bytes(key, value, every)
