"""Where what there is to read of a partition ends, marks of transactions left out."""

import asyncio
from typing import cast

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, OffsetOutOfRangeError
from confluent_kafka import Producer

from headrace.cli.localkafka import LocalKafka
from headrace.dispatcher.kafka.ends import end_of
from support.eventually import eventually

TP = TopicPartition("t", 0)


class Consumer:
    """Of one partition; a `position` of None is being asked of Kafka."""

    def __init__(self, highwater: int | None, position: int | KafkaError | None) -> None:
        self._highwater = highwater
        self._position = position
        self.assigned = {TP}

    def assignment(self) -> set[TopicPartition]:
        return self.assigned

    def highwater(self, _tp: TopicPartition) -> int | None:
        return self._highwater

    async def position(self, _tp: TopicPartition) -> int:
        if self._position is None:
            await asyncio.Event().wait()
        if isinstance(self._position, KafkaError):
            raise self._position
        return cast("int", self._position)


@pytest.mark.parametrize(
    ("highwater", "position", "end"),
    [
        (None, 7, 7),  # nothing was fetched yet
        (7, 7, 7),
        (9, 7, 9),  # two records, or more to come
        (9, 9, 7),  # passed by the consumer, and nothing came of it
        (9, None, 9),
        (9, OffsetOutOfRangeError(), 9),
    ],
)
async def test_the_end_is_that_of_the_records(
    highwater: int | None, position: int | KafkaError | None, end: int
) -> None:
    consumer = cast("AIOKafkaConsumer", Consumer(highwater, position))
    assert await end_of(consumer, TP, expected=7) == end


async def test_a_partition_that_went_elsewhere_meanwhile_has_nothing_to_read() -> None:
    """Asked of it, the client fails: that would end the process from within a commit."""
    consumer = Consumer(9, 7)
    consumer.assigned = set()
    assert await end_of(cast("AIOKafkaConsumer", consumer), TP, expected=7) == 7


async def test_the_mark_of_a_transaction_is_nothing_to_read(
    kafka: LocalKafka, topic_prefix: str
) -> None:
    tp = TopicPartition(f"{topic_prefix}marked", 0)
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    await admin.start()
    await admin.create_topics([NewTopic(tp.topic, 1, 1)])
    await admin.close()
    producer = Producer(
        {
            "bootstrap.servers": kafka.bootstrap,
            "transactional.id": f"{topic_prefix}marks",
            "transaction.timeout.ms": 8_000,
        }
    )
    await asyncio.to_thread(producer.init_transactions)
    producer.begin_transaction()
    producer.produce(tp.topic, b"one", partition=0)
    await asyncio.to_thread(producer.commit_transaction)
    async with AIOKafkaConsumer(
        bootstrap_servers=kafka.bootstrap, isolation_level="read_committed"
    ) as consumer:
        consumer.assign([tp])
        await consumer.seek_to_beginning(tp)
        assert (await consumer.getone(tp)).offset == 0

        async def passed() -> bool:
            """Whether the mark was met, of which nothing comes."""
            await consumer.getmany(tp, timeout_ms=50)
            return consumer.highwater(tp) == 2 and await end_of(consumer, tp, expected=1) == 1

        await eventually(passed)
