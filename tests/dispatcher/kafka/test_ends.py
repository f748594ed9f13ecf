"""Where what there is to read of a partition ends, marks of transactions left out."""

import asyncio
from typing import cast

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from headrace.dispatcher.kafka.ends import end_of

TP = TopicPartition("t", 0)


class Consumer:
    """Of one partition; a `position` of None is being asked of Kafka."""

    def __init__(self, highwater: int | None, position: int | None) -> None:
        self._highwater = highwater
        self._position = position

    def highwater(self, _tp: TopicPartition) -> int | None:
        return self._highwater

    async def position(self, _tp: TopicPartition) -> int:
        if self._position is None:
            await asyncio.Event().wait()
        return cast("int", self._position)


@pytest.mark.parametrize(
    ("highwater", "position", "end"),
    [
        (None, 7, 7),  # nothing was fetched yet
        (7, 7, 7),
        (9, 7, 9),  # two records, or more to come
        (9, 9, 7),  # passed by the consumer, and nothing came of it
        (9, None, 9),
    ],
)
async def test_the_end_is_that_of_the_records(
    highwater: int | None, position: int | None, end: int
) -> None:
    consumer = cast("AIOKafkaConsumer", Consumer(highwater, position))
    assert await end_of(consumer, TP, expected=7) == end
