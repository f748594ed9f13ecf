"""Where what there is to read of a partition ends."""

import asyncio

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import IllegalStateError, KafkaError


async def end_of(consumer: AIOKafkaConsumer, tp: TopicPartition, expected: int) -> int:
    """The offset behind the last record, as far as the consumer knows; `expected` if all were taken.

    The marks of transactions take offsets, and are no records: behind them the consumer stands at the end
    though it gave us nothing to go on from.
    """
    if tp not in consumer.assignment():
        return expected
    end = consumer.highwater(tp) or 0
    if end <= expected:
        return expected
    try:
        async with asyncio.timeout(0):  # it is known at once, or was lost and is asked of Kafka
            return expected if await consumer.position(tp) >= end else end
    except (TimeoutError, IllegalStateError, KafkaError):
        return end  # what Kafka refuses here it refuses the next read, too
