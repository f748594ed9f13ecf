"""Whether a lost request goes on elsewhere, as the logs of the delay partitions tell."""

from collections import defaultdict
from collections.abc import Callable
from types import SimpleNamespace
from typing import cast

from aiokafka import TopicPartition

from headrace.dispatcher.kafka.chains import COPY_EPOCH, Chains
from headrace.dispatcher.kafka.follower import Follower
from headrace.dispatcher.kafka.outbox import Outbox
from headrace.dispatcher.waiting import Waiting
from headrace.schemas.handover import ENDED, Origin, mark_headers
from headrace.schemas.headers import H
from headrace.schemas.journal import Mark, SessionId
from headrace.schemas.names import LaneName
from headrace.schemas.topics import TIERS, Topics
from headrace.telemetry.logs import get_log
from support.dispatch import APPENDED_MS, session, tenure, waiting

CALLER, REPLACED_BY = session("caller"), session("replaced_by")
TOPICS = Topics("headrace.")
PLACE = "headrace.requests.standard-0-7"
Take = Callable[[object], None]


class Logs:
    """The delay partitions of a request, one a tier: an outbox and a follower of them."""

    def __init__(self) -> None:
        self._logs: dict[str, list[SimpleNamespace]] = defaultdict(list)

    def write(self, topic: str, headers: list[tuple[str, bytes]]) -> int:
        log = self._logs[topic]
        log.append(SimpleNamespace(topic=topic, partition=0, offset=len(log), headers=headers))
        return len(log) - 1

    def mark(self, of: SessionId | str, epoch: int, tiers: list[str] | None = None) -> None:
        """As a session writes it, into all of them where its process lives on."""
        told = mark_headers(Mark(PLACE, 0, of, epoch, APPENDED_MS))
        for tier in tiers if tiers is not None else TIERS:
            self.write(TOPICS.delay(LaneName("standard"), tier), told)

    async def send(
        self, topic: str, _value: bytes, *, headers: list[tuple[str, bytes]], **_: object
    ) -> SimpleNamespace:
        return SimpleNamespace(topic=topic, partition=0, offset=self.write(topic, headers))

    async def since(self, times: dict[TopicPartition, int]) -> dict[TopicPartition, int]:
        return dict.fromkeys(times, 0)

    async def follow(self, starts: dict[TopicPartition, tuple[int, int, Take]]) -> None:
        for tp, (start, end, take) in starts.items():
            for record in self._logs[tp.topic][start:end]:
                take(record)

    def unfollow(self, _partitions: list[TopicPartition]) -> None:
        """Nothing is followed."""


async def goes_on(logs: Logs) -> bool:
    """Whether a parked copy whose caller is dead is not to be called."""
    chains = Chains(TOPICS, cast("Outbox", logs), cast("Follower", logs), get_log())
    return await chains.goes_on(copy())


def copy() -> Waiting:
    """A parked copy, its time come."""
    owner = tenure(of=session("successor"), delay_ms=1_000, epoch=9)
    request = waiting(owner=owner)
    request.parked = Origin(PLACE, 1, CALLER)
    return request


async def test_a_parked_request_that_has_ended_is_not_called_again() -> None:
    """Its mark may be forgotten by then, where all dispatchers were away for long."""
    logs = Logs()
    logs.mark(ENDED, 4)
    assert await goes_on(logs)


async def test_the_end_is_still_known_to_the_successor_of_one_that_asked() -> None:
    logs = Logs()
    logs.mark(ENDED, 4)
    logs.mark(REPLACED_BY, COPY_EPOCH + 8)
    assert await goes_on(logs)


async def test_an_end_that_is_told_after_another_took_over_counts_no_more() -> None:
    """It may have been a hand-over, which was refused."""
    logs = Logs()
    logs.mark(REPLACED_BY, COPY_EPOCH + 8, ["1s"])
    logs.mark(ENDED, 4)
    logs.mark(REPLACED_BY, COPY_EPOCH + 8, ["10s", "1m", "10m"])
    assert not await goes_on(logs)


async def test_without_a_mark_a_parked_request_is_called_again() -> None:
    assert not await goes_on(Logs())


async def test_a_parked_request_that_was_handed_on_goes_on_there() -> None:
    logs = Logs()
    origin = Origin(PLACE, 1, CALLER).encode()
    logs.write(TOPICS.delay(LaneName("standard"), "1m"), [(H.HANDED_ON_FROM.value, origin)])
    assert await goes_on(logs)
