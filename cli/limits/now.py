"""What the governor last told of the limits: what is used now, and who waits."""

import asyncio

from aiokafka import AIOKafkaConsumer, TopicPartition

from headrace.cli.topics.admin import STEP_LIMIT_S, troubles_told
from headrace.dispatcher.kafka.closing import end_consumer
from headrace.schemas.config.clients import client_options
from headrace.schemas.config.model import Config
from headrace.schemas.outlook import OUTLOOK_PARTITION, Outlook, decode
from headrace.schemas.topics import Topics

POLL_MS = 500
WAIT_S = 2.5
"""How long a governor that lives may take to write the next one."""


async def newest(config: Config) -> tuple[Outlook, int] | None:
    """The next record, and its timestamp; None: no governor tells anything now. Errors: `TopicsError`."""
    place = TopicPartition(Topics(config.kafka.topic_prefix).limit_outlook, OUTLOOK_PARTITION)
    consumer = AIOKafkaConsumer(
        **client_options(config.kafka), group_id=None, enable_auto_commit=False
    )
    with troubles_told(config.kafka):
        try:
            async with asyncio.timeout(STEP_LIMIT_S):
                await consumer.start()
                consumer.assign([place])
                end = (await consumer.end_offsets([place]))[place]
                consumer.seek(place, end)
                return await _next(consumer, place)
        finally:
            await end_consumer(consumer)


async def _next(consumer: AIOKafkaConsumer, place: TopicPartition) -> tuple[Outlook, int] | None:
    clock = asyncio.get_running_loop()
    give_up = clock.time() + WAIT_S
    while clock.time() < give_up:
        for record in (await consumer.getmany(place, timeout_ms=POLL_MS)).get(place, ()):
            outlook = decode(record.value)
            if outlook is not None:
                return outlook, record.timestamp
    return None
