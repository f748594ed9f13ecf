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
FETCH_BYTES = 4 * 1024 * 1024
SESSION_MS = 8_000
HEARTBEAT_MS = 500
REBALANCE_MS = 30_000
PAUSE_S = 1.0
"""Before a session that Kafka broke is begun anew."""
MAX_POLL_MS = 6 * 3_600_000
"""A slow batch is no reason to leave the group: heartbeats run beside it."""

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
    ) -> None:
        """`lost` is called whenever partitions are given out anew."""
        self._topics = topics
        self._lost = lost
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

    async def poll(self) -> list[Record]:
        """What came since the last call, each partition in its order. Raises `KafkaError`."""
        found = await self._consumer.getmany(timeout_ms=POLL_MS, max_records=BATCH_RECORDS)
        return [record for records in found.values() for record in records]

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
        self._lost()

    async def on_partitions_assigned(self, assigned: list[TopicPartition]) -> None:
        """Called by the consumer when it has its share."""


async def keep_up(session: Callable[[], Awaitable[None]], log: Log) -> None:
    """Run `session` again whenever Kafka broke it, until cancelled."""
    while True:
        try:
            await session()
        except* (KafkaError, OSError, TimeoutError) as errors:
            log.warning("intake_interrupted", error=repr(errors.exceptions[0]))
        await asyncio.sleep(PAUSE_S)
