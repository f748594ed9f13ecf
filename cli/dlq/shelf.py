"""Dead letters in Kafka, read from anywhere to the end; every wait is bounded."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.structs import ConsumerRecord

from headrace.cli.dlq.errors import TopicMissing
from headrace.cli.topics.admin import connect, troubles_told
from headrace.dispatcher.kafka.closing import end_consumer
from headrace.schemas.config.clients import client_options
from headrace.schemas.config.model import Config
from headrace.schemas.letters import Letter, Mark, read_letter
from headrace.schemas.topics import Topics

Record = ConsumerRecord[bytes, bytes]
Progress = Callable[[int, int], None]
"""Told how many offsets were read, and of how many."""

POLL_MS = 500
STALLED_POLLS = 60
"""So many polls in a row without any progress: there is no Kafka any more."""
MAX_RECORDS = 500


class Shelf:
    """The topic, open for reading; see `open_shelf`."""

    def __init__(
        self,
        config: Config,
        consumer: AIOKafkaConsumer,
        partitions: Mapping[str, int],
    ) -> None:
        self.topics = Topics(config.kafka.topic_prefix)
        self.config = config
        self.partitions = partitions
        """Numbers of partitions of `dead-letters`, `results` and the lanes, where these exist."""
        self._consumer = consumer
        count = partitions[self.topics.dead_letters]
        self._places = [TopicPartition(self.topics.dead_letters, n) for n in range(count)]

    async def bounds(self, since_ms: int = 0) -> tuple[dict[int, int], dict[int, int]]:
        """First offset at or after `since_ms`, and end (exclusive), of each partition."""
        begin = await self._consumer.beginning_offsets(self._places)
        end = await self._consumer.end_offsets(self._places)
        if since_ms > 0:
            found = await self._consumer.offsets_for_times(dict.fromkeys(self._places, since_ms))
            begin |= {tp: found[tp].offset if found.get(tp) else end[tp] for tp in begin}
        return (
            {tp.partition: n for tp, n in begin.items()},
            {tp.partition: n for tp, n in end.items()},
        )

    async def read(
        self, begin: Mapping[int, int], end: Mapping[int, int], progress: Progress
    ) -> AsyncGenerator[list[Record], None]:
        """Records from `begin` up to `end` (exclusive), in order within each partition."""
        topic = self.topics.dead_letters
        left = {TopicPartition(topic, n): stop for n, stop in end.items() if begin[n] < stop}
        total, done = sum(stop - begin[tp.partition] for tp, stop in left.items()), 0
        self._consumer.assign(list(left))
        at = {tp: begin[tp.partition] for tp in left}
        for tp, offset in at.items():
            self._consumer.seek(tp, offset)
        idle = 0
        while left:
            found = await self._consumer.getmany(*left, timeout_ms=POLL_MS, max_records=MAX_RECORDS)
            for tp, batch in found.items():
                yield [record for record in batch if record.offset < left[tp]]
            for tp, stop in list(left.items()):
                # Behind the last record may be what is none: the position knows.
                at[tp] = min(await self._consumer.position(tp), stop)
                if at[tp] == stop:
                    del left[tp]
            before, done = done, sum(at[tp] - begin[tp.partition] for tp in at)
            idle = idle + 1 if done == before else 0
            if idle == STALLED_POLLS:
                raise TimeoutError(f"stopped at {done} of {total} records")
            progress(done, total)

    def letter(self, record: Record) -> Letter | Mark | None:
        """What a record says."""
        return read_letter(
            self.topics,
            partition=record.partition,
            offset=record.offset,
            timestamp_ms=record.timestamp,
            key=record.key,
            value=record.value,
            headers=record.headers,
        )


@asynccontextmanager
async def open_shelf(config: Config) -> AsyncIterator[Shelf]:
    """Connect for reading. Errors: `TopicMissing`, `TopicsError`."""
    topics = Topics(config.kafka.topic_prefix)
    lanes = [topics.requests(lane) for lane in config.lanes]
    async with connect(config.kafka) as admin:
        partitions = await admin.partitions([topics.dead_letters, topics.results, *lanes])
    if topics.dead_letters not in partitions:
        raise TopicMissing(f"there is no topic {topics.dead_letters}", "headrace topics apply")
    consumer = AIOKafkaConsumer(
        **client_options(config.kafka),
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
    )
    with troubles_told(config.kafka):
        try:
            await consumer.start()
            yield Shelf(config, consumer, partitions)
        finally:
            await end_consumer(consumer)
