"""The inboxes of all tenants, read as one consumer group by all ingress processes."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from aiokafka import AIOKafkaConsumer
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError
from aiokafka.structs import ConsumerRecord, TopicPartition

from headrace.ingress.intake.progress import Place
from headrace.ingress.kafka.connect import closed, started
from headrace.telemetry.logs import Log

BATCH_RECORDS = 200
POLL_MS = 500
FULL_POLL_MS = 100
"""While a topic has no room: how soon it is looked at again."""
FETCH_BYTES = 4 * 1024 * 1024
SESSION_MS = 8_000
HEARTBEAT_MS = 500
REBALANCE_MS = 30_000
PAUSE_S = 1.0
"""Before a session that Kafka broke is begun anew."""
MAX_POLL_MS = 6 * 3_600_000
"""A slow batch is no reason to leave the group: heartbeats run beside it."""
_NOTHING = TopicPartition("", 0)
"""`getmany` of this gives no record; without any partition it would read all."""

Record = ConsumerRecord[bytes, bytes]


class Inboxes(ConsumerRebalanceListener):
    """One member of the group. Committed transactions only: what was aborted is no request."""

    def __init__(
        self,
        options: dict[str, Any],
        name: str,
        topics: list[str],
        group: str,
        lost: Callable[[], None],
        log: Log,
    ) -> None:
        """`lost` is called whenever partitions are given out anew."""
        self._topics = topics
        self._lost = lost
        self._log = log
        self._next: dict[TopicPartition, int] = {}
        """After the last record that `poll` returned."""
        self._suspects: list[TopicPartition] = []
        """Partitions of a read that failed at one of them: read one by one next."""
        self._unreadable: set[TopicPartition] = set()
        self._consumer = AIOKafkaConsumer(
            **options,
            client_id=name,
            group_id=group,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            session_timeout_ms=SESSION_MS,
            heartbeat_interval_ms=HEARTBEAT_MS,
            rebalance_timeout_ms=REBALANCE_MS,
            max_poll_interval_ms=MAX_POLL_MS,
            fetch_max_wait_ms=100,
            max_partition_fetch_bytes=FETCH_BYTES,
        )

    async def open(self) -> None:
        """Join. Raises `KafkaError`."""
        self._consumer.subscribe(self._topics, listener=self)
        await started(self._consumer.start())

    async def poll(self, has_room: Callable[[str], bool]) -> list[Record]:
        """What came since the last call to the topics that have room, each partition in its order.
        Raises `KafkaError`.

        A record with a header whose name is no UTF-8, which aiokafka cannot read, nor what is behind
        it in its batch, stops its own partition for as long as it is ours, and no other.
        """
        full = {topic for topic in self._topics if not has_room(topic)}
        wanted = self._choose(full)
        try:
            found = await self._consumer.getmany(
                *(wanted or (_NOTHING,)),
                timeout_ms=FULL_POLL_MS if full else POLL_MS,
                max_records=BATCH_RECORDS,
            )
        except UnicodeDecodeError:
            await self._single_out(wanted)
            return []
        self._next |= {tp: records[-1].offset + 1 for tp, records in found.items()}
        return [record for records in found.values() for record in records]

    def _choose(self, full: set[str]) -> list[TopicPartition]:
        mine = self._consumer.assignment()
        while self._suspects:
            suspect = self._suspects.pop()
            if suspect in mine:
                return [suspect]
        return [tp for tp in mine if tp not in self._unreadable and tp.topic not in full]

    async def _single_out(self, read: list[TopicPartition]) -> None:
        """Go back to before a read that failed: what it had read of other partitions is lost to us."""
        for tp in read:
            offset = await self._position(tp)
            if tp not in self._consumer.assignment():
                return  # all are given out anew, and begin where they were committed
            self._consumer.seek(tp, offset)
            if len(read) > 1:
                continue
            self._unreadable.add(tp)
            self._log.error(
                "partition_unreadable", topic=tp.topic, partition=tp.partition, offset=offset
            )
        self._suspects = list(read) if len(read) > 1 else self._suspects

    async def _position(self, tp: TopicPartition) -> int:
        """Where the next record of `tp` is to be read."""
        if tp in self._next:
            return self._next[tp]
        committed: int | None = await self._consumer.committed(tp)
        if committed is not None:
            return committed
        first: dict[TopicPartition, int] = await self._consumer.beginning_offsets([tp])
        return first[tp]

    async def commit(self, positions: dict[Place, int]) -> bool:
        """Tell Kafka how far we are; False if the partitions are no longer ours: another reads them."""
        mine = self._consumer.assignment()
        offsets = {TopicPartition(*place): at for place, at in positions.items()}
        try:
            await self._consumer.commit({tp: at for tp, at in offsets.items() if tp in mine})
        except (CommitFailedError, IllegalStateError):
            return False
        return True

    async def close(self) -> None:
        """Leave the group."""
        await closed(self._consumer.stop())

    async def on_partitions_revoked(self, revoked: list[TopicPartition]) -> None:  # noqa: ARG002
        """Called by the consumer before the group shares out its partitions."""
        self._next.clear()
        self._suspects.clear()
        self._unreadable.clear()
        self._lost()

    async def on_partitions_assigned(self, assigned: list[TopicPartition]) -> None:
        """Called by the consumer when it has its share."""


async def keep_up(session: Callable[[], Awaitable[None]], log: Log) -> None:
    """Run `session` again whatever broke it, until cancelled: HTTP goes on without the intake."""
    while True:
        try:
            await session()
        except* (KafkaError, OSError, TimeoutError) as errors:
            log.warning("intake_interrupted", error=repr(_first(errors)))
        except* Exception as errors:  # noqa: BLE001 - a fault of ours, told as such
            log.error("intake_failed", error=repr(_first(errors)))  # noqa: TRY400 - no traceback in logs
        await asyncio.sleep(PAUSE_S)


def _first(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    error = errors.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error
