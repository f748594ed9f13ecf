"""Which topics answers can go to: asked before a call is paid for, remembered for a while.

Our own request, journal and control topics are no address: a producer must not borrow this process's
right to write them. A topic that is missing is asked about again after `MISSING_S`.
"""

import asyncio
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from headrace.dispatcher.ports import Clock
from headrace.schemas.records import ReplyTo
from headrace.schemas.topics import Topics
from headrace.telemetry.logs import Log

KNOWN_S = 300.0
MISSING_S = 5.0
PAUSE_S = 0.5
MAX_TOPICS = 10_000


class Directory:
    """Partition counts of reply topics."""

    def __init__(self, topics: Topics, admin: AIOKafkaAdminClient, clock: Clock, log: Log) -> None:
        self._log = log
        self._topics = topics
        self._admin = admin
        self._clock = clock
        self._known: dict[str, tuple[int, float]] = {}
        """Topic -> (partitions, 0 for no such topic; until when that is believed)."""

    def knows(self, address: ReplyTo) -> bool:
        """Whether the address is known to exist, without asking."""
        partitions, until_s = self._known.get(address.topic, (0, 0.0))
        return (address.partition or 0) < partitions and self._clock.monotonic() < until_s

    async def exists(self, address: ReplyTo) -> bool:
        """Whether an answer can be written there; a Kafka that is away is waited for."""
        partitions, until_s = self._known.get(address.topic, (0, 0.0))
        now_s = self._clock.monotonic()
        if now_s >= until_s:
            partitions = await self._count(address.topic)
            if len(self._known) >= MAX_TOPICS:
                self._known.clear()
            self._known[address.topic] = partitions, now_s + (KNOWN_S if partitions else MISSING_S)
        return (address.partition or 0) < partitions

    async def _count(self, topic: str) -> int:
        if self._topics.internal(topic):
            return 0
        described = await self._describe(topic)
        return 0 if described["error_code"] else len(described["partitions"])

    async def _describe(self, topic: str) -> dict[str, Any]:
        while True:
            try:
                answer: list[dict[str, Any]] = await self._admin.describe_topics([topic])
            except KafkaError as error:
                self._log.warning("kafka_unreachable", topic=topic, code=type(error).__name__)
                await asyncio.sleep(PAUSE_S)
            else:
                return answer[0]
