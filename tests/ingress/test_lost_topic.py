"""A topic that is not there any more keeps nobody waiting, also where its producer is given up meanwhile."""

import asyncio

import pytest
from aiokafka.errors import KafkaError, UnknownTopicOrPartitionError

from headrace.cli.localkafka import LocalKafka
from headrace.ingress.kafka.producer import LOOK_UP_S, Producer

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_topic_that_is_gone_is_not_waited_for(kafka: LocalKafka) -> None:
    producer = Producer({"bootstrap_servers": kafka.bootstrap}, name="lost-topic")
    await producer.start()
    try:
        async with asyncio.timeout(LOOK_UP_S + 20):
            with pytest.raises(UnknownTopicOrPartitionError):
                await producer.send("no-such-topic", b"v", key=b"k", headers=[])
    finally:
        await producer.abandon()


async def test_who_waits_for_a_topic_is_told_when_the_producer_is_abandoned(
    kafka: LocalKafka,
) -> None:
    """Once those requests waited for as long as their clients did."""
    producer = Producer({"bootstrap_servers": kafka.bootstrap}, name="lost-producer")
    await producer.start()
    sending = [
        asyncio.create_task(producer.send("no-such-topic", b"v", key=b"k", headers=[]))
        for _ in range(3)
    ]
    await asyncio.sleep(0)
    await producer.abandon()
    async with asyncio.timeout(LOOK_UP_S + 20):
        ends = await asyncio.gather(*sending, return_exceptions=True)
    assert all(isinstance(end, KafkaError) for end in ends), ends
