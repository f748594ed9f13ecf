"""A compacted topic of one partition: read whole, followed, and written by one process at a time."""

from collections.abc import Callable, Coroutine, Sequence
from typing import Final

from aiokafka import TopicPartition
from aiokafka.structs import ConsumerRecord

from headrace.dispatcher.kafka.appender import Appender, Pair
from headrace.dispatcher.kafka.follower import Follower
from headrace.dispatcher.kafka.outbox import Outbox
from headrace.dispatcher.kafka.reach import Reach
from headrace.telemetry.logs import Log

PARTITION: Final = 0
"""The only one."""
TakePair = Callable[[bytes | None, bytes | None, int], None]
"""Key, value (None: removed) and the broker's time of a record."""


class Table:
    """One such topic. Whoever removes keys writes something else last: compaction may let go of the removal,
    and who reads to the end waits for a record at the end."""

    def __init__(
        self,
        topic: str,
        *,
        outbox: Outbox,
        follower: Follower,
        reader: Follower,
        reach: Reach,
        failed: Callable[[], None],
        log: Log,
    ) -> None:
        """`follower` reads it, `reader` looks its end up; `failed`: records may not stand there."""
        self._place = TopicPartition(topic, PARTITION)
        self._follower = follower
        self._reader = reader
        self._reach = reach
        self._appender = Appender(
            outbox, self._place, acked=lambda _at_ms: None, failed=failed, log=log
        )

    def works(self) -> tuple[Coroutine[None, None, None], ...]:
        """What runs from the connection to the end."""
        return (self._appender.run(),)

    async def follow(self, take: TakePair) -> None:
        """Read it from its beginning; returns once all that stands there was read. Waits for Kafka."""

        def taken(record: "ConsumerRecord[bytes, bytes]") -> None:
            take(record.key, record.value, record.timestamp)

        bounds = await self._reach.patiently(lambda: self._follower.bounds([self._place]))
        first, end = bounds[self._place]
        await self._follower.follow({self._place: (first, end, taken)})

    async def catch_up(self) -> None:
        """Returns when everything was read that stands there now. Waits for Kafka."""
        bounds = await self._reach.patiently(lambda: self._reader.bounds([self._place]))
        await self._follower.read_to(self._place, bounds[self._place][1])

    @property
    def free(self) -> bool:
        """Whether `append` may be called."""
        return self._appender.free

    def append(self, pairs: Sequence[Pair]) -> None:
        """Write these (key, value), in their order. Only while it is `free`."""
        self._appender.append(pairs)
