"""A backlog is read a little at a time, and no partition of it waits for another's end."""

from typing import cast

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from prometheus_client import CollectorRegistry

from headrace.dispatcher.fleet import Fleet
from headrace.dispatcher.kafka.journals import JournalWriter
from headrace.dispatcher.kafka.reading import AT_ONCE, Reading
from headrace.dispatcher.kafka.source import Source
from headrace.dispatcher.kafka.sources import MOST_ARRIVED, AllSources
from headrace.dispatcher.metrics import Metrics
from headrace.dispatcher.ports import Clock
from support.dispatch import Record, tenure

PLACES = [TopicPartition("requests.batch", number) for number in range(3)]


class Fetched:
    """Hands out what was fetched as aiokafka does: one partition to its end before the next."""

    def __init__(self, counts: list[int]) -> None:
        self.left = dict(zip(PLACES, counts, strict=True))
        self.asked: list[tuple[tuple[TopicPartition, ...], int]] = []

    async def getmany(
        self, *places: TopicPartition, timeout_ms: int, max_records: int
    ) -> dict[TopicPartition, list[Record]]:
        self.asked.append((places, timeout_ms))
        batches: dict[TopicPartition, list[Record]] = {}
        for place in places:
            count = min(max_records, self.left.get(place, 0))
            if count:
                batches[place] = [Record(offset=n) for n in range(count)]
                self.left[place] -= count
                max_records -= count
            if not max_records:
                break
        return batches


def reading(fetched: Fetched) -> Reading:
    return Reading(cast("AIOKafkaConsumer", fetched))


async def counts(one: Reading, places: list[TopicPartition]) -> list[int]:
    """How many records of each partition the next read returns."""
    batches = await one.read(places)
    return [len(batches.get(place, ())) for place in PLACES]


async def test_partitions_of_a_backlog_take_turns() -> None:
    one = reading(Fetched([1_000, 1_000, 1_000]))
    assert [await counts(one, PLACES) for _ in range(6)] == [
        [AT_ONCE, 0, 0],
        [0, AT_ONCE, 0],
        [0, 0, AT_ONCE],
    ] * 2


async def test_what_has_nothing_more_gives_its_turn_away() -> None:
    one = reading(Fetched([3 * AT_ONCE, 10, 0]))
    assert [await counts(one, PLACES) for _ in range(4)] == [
        [AT_ONCE, 0, 0],
        [0, 10, 0],
        [AT_ONCE, 0, 0],
        [AT_ONCE, 0, 0],
    ]


async def test_a_backlog_is_not_kept_waiting_by_what_trickles_in() -> None:
    fetched = Fetched([1_000, 1, 1])
    one = reading(fetched)
    read = [await counts(one, PLACES)]
    for _ in range(3):
        fetched.left[PLACES[1]] = fetched.left[PLACES[2]] = 1
        read.append(await counts(one, PLACES))
    assert read == [[AT_ONCE, 0, 0], [0, 1, 1], [AT_ONCE, 0, 0], [0, 1, 1]]


async def test_nothing_waits_for_a_turn_when_a_partition_has_no_room() -> None:
    one = reading(Fetched([1_000, 1_000, 0]))
    assert await counts(one, PLACES[:1]) == [AT_ONCE, 0, 0]
    assert await counts(one, PLACES[:1]) == [AT_ONCE, 0, 0]


async def test_a_read_without_a_backlog_asks_once_and_waits() -> None:
    fetched = Fetched([5, 0, 5])
    assert await counts(reading(fetched), PLACES) == [5, 0, 5]
    assert fetched.asked == [(tuple(PLACES), 100)]


async def test_without_a_partition_errors_are_told_all_the_same() -> None:
    fetched = Fetched([0, 0, 0])
    assert await reading(fetched).read([]) == {}
    assert fetched.asked == [((TopicPartition("", 0),), 100)]


@pytest.fixture
def sources() -> AllSources:
    return AllSources(
        journals=cast("JournalWriter", None),
        fleet=cast("Fleet", None),
        clock=cast("Clock", None),
        metrics=Metrics(CollectorRegistry()),
        commit_s=1,
        snap_s=1,
    )


async def test_each_consumer_is_the_first_to_read_in_its_turn(sources: AllSources) -> None:
    """One that has much could else fill what may arrive, again and again, and no other would read."""

    class Reader:
        def __init__(self) -> None:
            self.read = 0

        def resume(self) -> None:
            if not sources.full():
                self.read += 1
                sources.arrived(tenure(), [Record()] * MOST_ARRIVED)

    readers = [Reader() for _ in range(3)]
    for reader in readers:
        sources.add(cast("Source", reader))
    for _ in range(6):
        await sources.poll(0)
    assert [reader.read for reader in readers] == [2, 2, 2]


async def test_what_nobody_has_polled_is_bounded_for_all_consumers_together(
    sources: AllSources,
) -> None:
    lane, other = tenure(), tenure()
    sources.arrived(lane, [Record(offset=n) for n in range(MOST_ARRIVED - 1)])
    assert not sources.full()
    sources.arrived(other, [Record(offset=0)])
    assert sources.full()
    arrivals = await sources.poll(0)
    assert [len(records) for _, records in arrivals] == [MOST_ARRIVED - 1, 1]
    assert not sources.full()
