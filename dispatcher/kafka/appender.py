"""Appends the records of one partition in their order, those of one tick at a time."""

import asyncio
from collections.abc import Callable, Sequence

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from headrace.dispatcher.kafka.outbox import Outbox, Undeliverable
from headrace.telemetry.logs import Log

_PAUSE_S = 0.5
Pair = tuple[bytes | None, bytes | None]
"""Key and value of a record; a key without a value is removed from a compacted topic."""


class Appender:
    """Takes nothing more while Kafka has not acknowledged what it was given, or failed.

    So nothing piles up while Kafka is away or slow, and whoever appends goes on meanwhile. A failure is
    told and forgotten: it is for records that are stated again, and it is not known whether they stand.
    """

    def __init__(
        self,
        outbox: Outbox,
        place: TopicPartition,
        *,
        acked: Callable[[int], None],
        failed: Callable[[], None],
        log: Log,
    ) -> None:
        """`acked` is told the append time of what stands in the log."""
        self._outbox = outbox
        self._place = place
        self._acked = acked
        self._failed = failed
        self._log = log
        self._pairs: Sequence[Pair] = ()
        self._given = asyncio.Event()

    @property
    def free(self) -> bool:
        """Whether `append` may be called."""
        return not self._pairs

    def append(self, pairs: Sequence[Pair]) -> None:
        """Write these soon. Only while it is `free`."""
        if self._pairs:
            raise RuntimeError("the records before these are not acknowledged yet")
        self._pairs = pairs
        self._given.set()

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            await self._given.wait()
            self._given.clear()
            try:
                await self._write(self._pairs)
            except (KafkaError, Undeliverable) as error:
                self._failed()
                self._log.warning(
                    "append_failed", topic=self._place.topic, code=type(error).__name__
                )
                await asyncio.sleep(_PAUSE_S)
            finally:
                self._pairs = ()

    async def _write(self, pairs: Sequence[Pair]) -> None:
        topic, partition = self._place
        acks = [
            await self._outbox.post(topic, value, key=key, partition=partition)
            for key, value in pairs
        ]
        for metadata in await asyncio.gather(*acks):
            if metadata.timestamp is not None:
                self._acked(metadata.timestamp)
