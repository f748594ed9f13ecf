"""A reader without a group: follows the journals of the owned partitions, the fleet, the cancels.

Partitions come and go with the assignments; each is read from a wanted offset on, and whoever asked
can wait until it was read to a certain end. A second one, with the pace `EAGER`, reads what a takeover waits
for.
"""

import asyncio
from asyncio import Future
from collections.abc import Callable, Container, Mapping
from typing import NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from aiokafka.structs import ConsumerRecord

from headrace.dispatcher.kafka.closing import end_consumer
from headrace.schemas.config.clients import client_options
from headrace.schemas.config.model import KafkaConfig
from headrace.telemetry.logs import Log

Take = Callable[["ConsumerRecord[bytes, bytes]"], None]
_POLL_MS = 100
_PAUSE_S = 0.5


class Pace(NamedTuple):
    """How a follower asks: the broker gathers `least_bytes`, or as long as `hold_ms`."""

    least_bytes: int
    hold_ms: int
    """A broker answers nothing else on a connection while it holds a fetch there."""
    backoff_ms: int = _POLL_MS
    """Also what it waits before it asks again about a topic that is new to it."""
    poll_ms: int = _POLL_MS
    """How soon it sees that other partitions are to be followed, while nothing comes."""
    rest_s: float = 0.0
    """Between two readings. aiokafka asks again for what was read only, so that the broker gathers."""


GATHERED = Pace(1024 * 1024, _POLL_MS)
"""A fetch per record would cost three times the CPU."""
EAGER = Pace(1, 10, backoff_ms=10)
"""Reads at once whatever there is; for short readings, which somebody waits for."""
PROMPT = Pace(1, 500, poll_ms=500, rest_s=0.03)
"""A record that comes alone is read at once; nothing is asked for while there is nothing."""
INSTANT = PROMPT._replace(rest_s=0.0)
"""The same, where somebody waits for each record."""
STEADY = PROMPT._replace(rest_s=0.1)
"""The same, where what comes next may wait: a third of the round trips."""


class _Line:
    """One followed partition."""

    def __init__(self, next_offset: int, until: int, take: Take, *, anew: bool) -> None:
        self.anew = anew
        self.next_offset = next_offset
        self.until = until
        self.take = take
        self._waiters: list[tuple[int, Future[None]]] = []
        self.caught_up = self.reached(until)

    def reached(self, offset: int) -> "Future[None]":
        """Done once the partition was read to `offset`, exclusive."""
        waiter: Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append((offset, waiter))
        return waiter

    def advance(self, next_offset: int) -> None:
        self.next_offset = next_offset
        if self._waiters:
            self._tell(next_offset)

    def drop(self) -> None:
        """It is not read any more: nobody need wait."""
        self._tell(None)

    def _tell(self, read_to: int | None) -> None:
        still = []
        for offset, waiter in self._waiters:
            if read_to is not None and read_to < offset:
                still.append((offset, waiter))
            elif not waiter.done():
                waiter.set_result(None)
        self._waiters = still


class Follower:
    """Follow partitions and hand each record to its `take`, in order, from the loop's thread."""

    def __init__(self, kafka: KafkaConfig, name: str, log: Log, *, pace: Pace = GATHERED) -> None:
        self._consumer = AIOKafkaConsumer(
            **client_options(kafka),
            client_id=name,
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            fetch_min_bytes=pace.least_bytes,
            fetch_max_wait_ms=pace.hold_ms,
            retry_backoff_ms=pace.backoff_ms,
        )
        self._pace = pace
        self._log = log
        self._lines: dict[TopicPartition, _Line] = {}
        self._changed = False
        self._any = asyncio.Event()

    async def start(self) -> None:
        """Connect. Raises `KafkaError`."""
        await self._consumer.start()

    async def close(self) -> None:
        """Stop reading."""
        await end_consumer(self._consumer)

    async def bounds(
        self, partitions: list[TopicPartition]
    ) -> dict[TopicPartition, tuple[int, int]]:
        """First and end offset of each partition. Raises `KafkaError`."""
        first = await self._consumer.beginning_offsets(partitions)
        end = await self._consumer.end_offsets(partitions)
        return {tp: (first[tp], end[tp]) for tp in partitions}

    async def follow(
        self,
        starts: Mapping[TopicPartition, tuple[int, int, Take]],
        *,
        anew: Container[TopicPartition] = (),
    ) -> None:
        """Follow each partition from its (start, until, take); returns once all were read to `until`.

        `until` is exclusive: an `until` not above `start` waits for nothing. A log in `anew` that was deleted
        and made anew is read from its beginning; of others nothing before the old place counts.
        """
        lines = {
            tp: _Line(start, until, take, anew=tp in anew)
            for tp, (start, until, take) in starts.items()
        }
        for tp, line in lines.items():
            replaced = self._lines.get(tp)
            if replaced is not None:
                replaced.drop()
            self._lines[tp] = line
            line.advance(line.next_offset)
        if lines:
            self._changed = True
            self._any.set()
        for line in lines.values():
            await line.caught_up

    def unfollow(self, partitions: list[TopicPartition]) -> dict[TopicPartition, tuple[int, Take]]:
        """Read these no longer; returns what would have come next in each, and who would take it."""
        ended: dict[TopicPartition, tuple[int, Take]] = {}
        for tp in partitions:
            dropped = self._lines.pop(tp, None)
            if dropped is not None:
                dropped.drop()
                ended[tp] = (dropped.next_offset, dropped.take)
                self._changed = True
        return ended

    async def read_to(self, partition: TopicPartition, offset: int) -> None:
        """Returns when a followed partition was read to `offset`, exclusive, or is followed no more."""
        line = self._lines.get(partition)
        if line is not None and line.next_offset < offset:
            await line.reached(offset)

    async def found(
        self, times: dict[TopicPartition, int]
    ) -> dict[TopicPartition, tuple[int, int] | None]:
        """Offset and timestamp of the first record of each partition that is not older than its time.

        Raises `KafkaError`.
        """
        found = await self._consumer.offsets_for_times(times) if times else {}
        return {tp: None if at is None else (at.offset, at.timestamp) for tp, at in found.items()}

    async def since(self, times: dict[TopicPartition, int]) -> dict[TopicPartition, int]:
        """The first offset of each partition whose record is not older than its time (epoch ms).

        The end where there is none. Raises `KafkaError`.
        """
        found = await self._consumer.offsets_for_times(times)
        ends = await self._consumer.end_offsets([tp for tp, at in found.items() if at is None])
        return {tp: ends[tp] if at is None else at.offset for tp, at in found.items()}

    async def run(self) -> None:
        """Read until cancelled; a broker that is away is waited for."""
        while True:
            await self._any.wait()
            try:
                await self._step()
            except KafkaError as error:
                self._log.warning("kafka_follow_failed", code=type(error).__name__)
                self._changed = True
                await asyncio.sleep(_PAUSE_S)

    async def _step(self) -> None:
        if self._changed:
            self._changed = False
            if not self._lines:
                self._consumer.unsubscribe()
                self._any.clear()
                return
            self._consumer.assign(list(self._lines))
            for tp, line in self._lines.items():
                self._consumer.seek(tp, line.next_offset)
        batches = await self._consumer.getmany(timeout_ms=self._pace.poll_ms)
        for tp, records in batches.items():
            current = self._lines.get(tp)
            if current is None or self._changed:
                continue
            if current.anew and records[-1].offset < current.next_offset:
                # The place was out of range, and aiokafka went back to the beginning.
                self._log.warning("log_made_anew", topic=tp.topic, offset=current.next_offset)
                current.next_offset = records[0].offset
            for record in records:
                if record.offset >= current.next_offset:
                    current.take(record)
            current.advance(max(current.next_offset, records[-1].offset + 1))
        if batches and self._pace.rest_s:
            await asyncio.sleep(self._pace.rest_s)
