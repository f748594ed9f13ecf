"""Which topics answers can go to: asked before a call is paid for, remembered for a while.

Our own request, journal and control topics are no address: a producer must not borrow this process's
right to write them. A topic that was missing, or too short for an address, is asked about again
after `MISSING_S`.
"""

import asyncio
from math import inf

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import (
    InvalidTopicError,
    KafkaError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
)

from headrace.dispatcher.ports import Clock
from headrace.schemas.records import ReplyTo
from headrace.schemas.topics import Topics
from headrace.telemetry.logs import Log

KNOWN_S = 300.0
MISSING_S = 5.0
PAUSE_S = 0.5
MAX_TOPICS = 10_000
_NOT_THERE = tuple(
    error.errno
    for error in (
        InvalidTopicError,
        TopicAuthorizationFailedError,
        UnknownTopicOrPartitionError,
    )
)
"""What brokers say of a topic that nobody can write to; anything else passes, and is asked again."""
_NEVER = (0, -inf)


class Directory:
    """Partition counts of reply topics."""

    def __init__(self, topics: Topics, admin: AIOKafkaAdminClient, clock: Clock, log: Log) -> None:
        self._log = log
        self._topics = topics
        self._admin = admin
        self._clock = clock
        self._known: dict[str, tuple[int, float]] = {}
        """Topic -> (partitions, 0 for no such topic; when that was asked for)."""
        self._missed_s: dict[str, float] = {}
        """Topic -> when that was asked for an address that was not there."""

    def knows(self, address: ReplyTo) -> bool:
        """Whether the address is known to exist, without asking."""
        partitions, asked_s = self._known.get(address.topic, _NEVER)
        return _is_there(address, partitions) and self._clock.monotonic() < asked_s + KNOWN_S

    async def exists(self, address: ReplyTo) -> bool:
        """Whether an answer can be written there; a Kafka that is away is waited for."""
        topic, now_s = address.topic, self._clock.monotonic()
        partitions, asked_s = self._known.get(topic, _NEVER)
        if _is_there(address, partitions):
            believed_to_s = asked_s + KNOWN_S
        else:
            # It may have grown since it was asked about for another address.
            believed_to_s = self._missed_s.get(topic, -inf) + MISSING_S
        if now_s >= believed_to_s:
            partitions = await self._count(topic)
            self._remember(topic, partitions, now_s)
            if not _is_there(address, partitions):
                self._missed_s[topic] = now_s
        return _is_there(address, partitions)

    async def gone(self, topic: str) -> bool:
        """Whether a producer's own topic was deleted; a topic of ours is never given up."""
        if topic in (self._topics.replies, self._topics.results) or self._topics.internal(topic):
            return False
        self._known.pop(topic, None)
        return await self._count(topic) == 0

    def _remember(self, topic: str, partitions: int, now_s: float) -> None:
        if len(self._known) >= MAX_TOPICS:
            self._known.clear()
            self._missed_s.clear()
        self._known[topic] = partitions, now_s

    async def _count(self, topic: str) -> int:
        if self._topics.internal(topic):
            return 0
        while True:
            try:
                (described,) = await self._admin.describe_topics([topic])
                code: int = described["error_code"]
            except KafkaError as error:
                self._log.warning("kafka_unreachable", topic=topic, code=type(error).__name__)
            else:
                if code in _NOT_THERE:
                    return 0
                if not code:
                    return len(described["partitions"])
            await asyncio.sleep(PAUSE_S)


def _is_there(address: ReplyTo, partitions: int) -> bool:
    return (address.partition or 0) < partitions
