"""Following a log that is deleted and made anew, on a real Kafka."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import TopicAlreadyExistsError

from headrace.cli.localkafka import LocalKafka
from headrace.dispatcher.kafka.follower import PROMPT, Follower
from headrace.schemas.config.model import KafkaConfig
from headrace.telemetry.logs import get_log
from support.eventually import eventually

OLD, NEW = 1_000, 10


@asynccontextmanager
async def following(follower: Follower) -> AsyncIterator[None]:
    await follower.start()
    running = asyncio.create_task(follower.run())
    try:
        yield
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        await follower.close()


@pytest.mark.parametrize("anew", [True, False])
async def test_a_log_that_is_made_anew_is_read_on_where_that_is_wanted(
    kafka: LocalKafka, topic_prefix: str, anew: bool
) -> None:
    place = TopicPartition(f"{topic_prefix}grants", 0)
    config = KafkaConfig(bootstrap_servers=[kafka.bootstrap])
    follower = Follower(config, "test-follower", get_log(), pace=PROMPT)
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    producer = AIOKafkaProducer(bootstrap_servers=kafka.bootstrap, acks="all")
    taken: list[bytes] = []

    async def created() -> bool:
        with suppress(TopicAlreadyExistsError):
            await admin.create_topics([NewTopic(place.topic, 1, 1)])
            return True
        return False

    async def write(*values: bytes) -> None:
        acks = [await producer.send(place.topic, value, partition=0) for value in values]
        await asyncio.gather(*acks)

    await admin.start()
    await created()
    await producer.start()
    try:
        await write(*[b"old"] * OLD)
        async with following(follower):
            starts = {place: (0, OLD, lambda record: taken.append(record.value or b""))}
            await follower.follow(starts, anew=(place,) if anew else ())
            assert taken == [b"old"] * OLD
            await admin.delete_topics([place.topic])
            await eventually(created, within_s=20, every_s=0.2)
            await write(*[b"new"] * NEW)
            if anew:
                await eventually(lambda: taken[OLD:] == [b"new"] * NEW, within_s=20)
            else:
                await write(*[b"late"] * OLD)
                await eventually(lambda: len(taken) == OLD + NEW, within_s=20)
                assert set(taken[OLD:]) == {b"late"}
    finally:
        await producer.stop()
        await admin.close()
