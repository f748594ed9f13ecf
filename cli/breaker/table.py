"""The topic `breakers` of an installation, read once; every wait is bounded."""

import asyncio

from aiokafka import AIOKafkaConsumer, TopicPartition

from headrace.cli.settings.errors import TopicMissing
from headrace.cli.topics.admin import STEP_LIMIT_S, connect, troubles_told
from headrace.dispatcher.kafka.closing import end_consumer
from headrace.schemas.breaker_log import BreakerLog
from headrace.schemas.config.clients import client_options
from headrace.schemas.config.model import Config
from headrace.schemas.topics import Topics

POLL_MS = 200


async def read_breakers(config: Config) -> BreakerLog:
    """All rows and their history. Errors: `TopicMissing`, `TopicsError`."""
    topic = Topics(config.kafka.topic_prefix).breakers
    async with connect(config.kafka) as admin:
        partitions = (await admin.partitions([topic])).get(topic)
    if not partitions:
        raise TopicMissing(f"there is no topic {topic}: run headrace topics apply")
    consumer = AIOKafkaConsumer(
        **client_options(config.kafka), group_id=None, enable_auto_commit=False
    )
    log = BreakerLog()
    with troubles_told(config.kafka):
        try:
            async with asyncio.timeout(STEP_LIMIT_S):
                await consumer.start()
                await _read(consumer, TopicPartition(topic, 0), log)
        finally:
            await end_consumer(consumer)
    return log


async def _read(consumer: AIOKafkaConsumer, place: TopicPartition, log: BreakerLog) -> None:
    consumer.assign([place])
    await consumer.seek_to_beginning(place)
    end = (await consumer.end_offsets([place]))[place]
    while await consumer.position(place) < end:
        for record in (await consumer.getmany(place, timeout_ms=POLL_MS)).get(place, ()):
            log.take(record.key, record.value)
