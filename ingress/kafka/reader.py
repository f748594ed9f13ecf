"""Reads the partitions of `replies` and `results` that this process's answers come by.

Assigned, without a group: scaling moves nobody's replies. The end offsets are resolved before any
request is accepted, so no answer to an own request can lie before them. A rebuilt reader goes on where
the last one stopped.
"""

import zlib
from collections.abc import Callable, Mapping
from typing import Any

from aiokafka import AIOKafkaConsumer
from aiokafka.structs import TopicPartition

from headrace.ingress.board import ReplyBoard
from headrace.ingress.kafka.connect import closed, started
from headrace.schemas import replies
from headrace.schemas.names import InstanceId
from headrace.schemas.records import MalformedRecord
from headrace.telemetry.logs import Log

INSTANCE_HEADER = "headrace-reply-instance"


def reply_partition(instance: InstanceId, partitions: int) -> int:
    """Where an instance's replies go. A collision is harmless: each reply names its instance."""
    return zlib.crc32(instance.encode()) % partitions


class ReplyReader:
    """Feeds the board."""

    def __init__(
        self, options: dict[str, Any], instance: InstanceId, board: ReplyBoard,
        monotonic: Callable[[], float], log: Log,
    ) -> None:  # fmt: skip
        self._options = options
        self._mine = (INSTANCE_HEADER, instance.encode())
        self._instance = instance
        self._board = board
        self._monotonic = monotonic
        self._log = log
        self._consumer: AIOKafkaConsumer | None = None
        self._positions: dict[TopicPartition, int] = {}

    async def open(self, topics: Mapping[str, int]) -> None:
        """Connect and resolve where to read from; `topics` tells how many partitions each has.

        Raises `KafkaError`.
        """
        places = [
            TopicPartition(topic, reply_partition(self._instance, count))
            for topic, count in topics.items()
        ]
        consumer = AIOKafkaConsumer(
            **self._options,
            client_id=self._instance,
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="latest",
            fetch_min_bytes=1,
            fetch_max_wait_ms=100,
            max_partition_fetch_bytes=4 * 1024 * 1024,
        )
        self._consumer = consumer
        consumer.assign(places)
        await started(consumer.start())
        new = [place for place in places if place not in self._positions]
        ends = await consumer.end_offsets(new) if new else {}
        self._positions = {
            place: ends[place] if place in ends else self._positions[place] for place in places
        }
        for place, position in self._positions.items():
            consumer.seek(place, position)

    async def run(self) -> None:
        """Deliver replies for ever. Raises `KafkaError` when reading cannot go on."""
        consumer = self._consumer
        assert consumer is not None  # noqa: S101 - `Link` opens before it runs
        mine, deliver, decode, monotonic = (
            self._mine,
            self._board.deliver,
            replies.decode,
            self._monotonic,
        )
        while True:
            for place, records in (await consumer.getmany(timeout_ms=1000)).items():
                now = monotonic()
                for record in records:
                    # Looked for before anything is decoded: others share this partition.
                    if mine not in record.headers:
                        continue
                    try:
                        deliver(decode(record.value, record.headers), now)
                    except MalformedRecord as error:
                        self._log.warning(
                            "reply_unreadable",
                            code=error.code,
                            partition=record.partition,
                            offset=record.offset,
                        )
                self._positions[place] = records[-1].offset + 1

    async def close(self) -> None:
        """Disconnect; the positions stay for the next `open`."""
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            await closed(consumer.stop())
