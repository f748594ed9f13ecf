"""Which reply addresses exist: asked before a call is paid for, and again when it may have changed."""

from typing import cast

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import UnknownTopicOrPartitionError

from headrace.dispatcher.kafka.directory import KNOWN_S, MISSING_S, Directory
from headrace.schemas.records import ReplyTo
from headrace.schemas.topics import Topics
from headrace.telemetry.logs import get_log


class Broker:
    """One topic of `partitions`, or none."""

    def __init__(self, partitions: int) -> None:
        self.partitions = partitions
        self.asked = 0

    async def describe_topics(self, topics: list[str]) -> list[dict[str, object]]:
        self.asked += 1
        code = 0 if self.partitions else UnknownTopicOrPartitionError.errno
        return [{"error_code": code, "partitions": [{}] * self.partitions} for _ in topics]


class Clock:
    """A clock that is moved by hand."""

    now_s = 1_000.0

    def now_ms(self) -> int:
        return 0

    def monotonic(self) -> float:
        return self.now_s


def directory(broker: Broker, clock: Clock) -> Directory:
    """A directory that asks `broker`."""
    return Directory(Topics("headrace."), cast("AIOKafkaAdminClient", broker), clock, get_log())


async def test_a_reply_topic_that_has_grown_is_asked_about_again() -> None:
    """Requests from new partitions were dead letters for five minutes."""
    broker = Broker(32)
    addresses = directory(broker, Clock())
    assert await addresses.exists(ReplyTo("t", 1))
    broker.partitions = 64
    assert not addresses.knows(ReplyTo("t", 40))
    assert await addresses.exists(ReplyTo("t", 40))
    assert addresses.knows(ReplyTo("t", 40))


async def test_an_address_beyond_the_end_is_asked_about_only_once_in_a_while() -> None:
    broker, clock = Broker(32), Clock()
    addresses = directory(broker, clock)
    for _ in range(2):
        assert not await addresses.exists(ReplyTo("t", 40))
        clock.now_s += MISSING_S / 2
    assert broker.asked == 1
    assert not await addresses.exists(ReplyTo("t", 40))
    assert broker.asked == 2


async def test_what_is_there_is_believed_for_minutes_and_what_is_missing_is_not() -> None:
    broker, clock = Broker(0), Clock()
    addresses = directory(broker, clock)
    assert not await addresses.exists(ReplyTo("t"))
    broker.partitions = 1
    clock.now_s += MISSING_S
    assert await addresses.exists(ReplyTo("t"))
    clock.now_s += KNOWN_S - 1
    assert await addresses.exists(ReplyTo("t"))
    assert broker.asked == 2
    clock.now_s += 1
    assert not addresses.knows(ReplyTo("t"))
    assert await addresses.exists(ReplyTo("t"))
    assert broker.asked == 3
