"""Marks in the delay topics: whether a lost request was handed on, and who may do so now (see `handover`)."""

import asyncio
from asyncio import Future
from collections import defaultdict
from collections.abc import Iterable

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError
from aiokafka.structs import ConsumerRecord

from headrace.dispatcher.kafka.follower import Follower
from headrace.dispatcher.kafka.outbox import Outbox, Undeliverable
from headrace.dispatcher.waiting import Waiting
from headrace.schemas.handover import ENDED, mark_headers, mark_of, origin
from headrace.schemas.headers import H
from headrace.schemas.journal import Mark, counts
from headrace.schemas.topics import TIERS, Topics
from headrace.telemetry.logs import Log

SKEW_MS = 60_000
"""How far the clocks of two brokers may differ."""
KEEP_MS = 600_000
"""How long after its deadline something of a request may still be handed on, by a process that was frozen."""
COPY_EPOCH = 1 << 60
"""The owner of a parked copy comes after every owner of the partition that it was parked from."""
_PAUSE_S = 0.5

Marks = dict[TopicPartition, int]
"""Where the marks of one request stand."""


class _Search:
    """What the delay partitions tell of one place up to the own mark."""

    def __init__(self, place: str, marks: Marks, *, of_copy: bool) -> None:
        self.place = place
        self.of_copy = of_copy
        """A parked copy asks: it must not find itself."""
        self.own = marks
        self._handed_on = False
        self._ended: set[TopicPartition] = set()
        self._marks: dict[TopicPartition, list[Mark]] = defaultdict(list)

    @property
    def goes_on(self) -> bool:
        """Whether it was handed on, or has come to its end, before the own mark.

        An end counts only where every partition tells it: of a session that was replaced meanwhile one of
        them may tell an end that is a hand-over which another has refused.
        """
        return self._handed_on or self._ended == set(self.own)

    def mark(self, tp: TopicPartition, mark: Mark) -> None:
        before = mark.offset < self.own.get(tp, 0)
        if before and mark.session == ENDED:
            newest = max((other.epoch for other in self._marks[tp]), default=0)
            if newest <= mark.epoch:
                self._ended.add(tp)
        self._marks[tp].append(mark)

    def handed_on(self, tp: TopicPartition, offset: int, session: str) -> None:
        before = offset < self.own.get(tp, 0)
        self._handed_on = self._handed_on or (before and counts(self._marks[tp], session, offset))


class Chains:
    """Writes marks and searches for hand-overs; searches are gathered, as a crash asks for many at once."""

    def __init__(self, topics: Topics, outbox: Outbox, follower: Follower, log: Log) -> None:
        self._topics = topics
        self._outbox = outbox
        self._follower = follower
        self._log = log
        self._asked: list[tuple[Waiting, Future[bool]]] = []
        self._ending: set[asyncio.Task[None]] = set()
        self._searching: asyncio.Task[None] | None = None

    async def goes_on(self, waiting: Waiting) -> bool:
        """Whether the request was handed on, where it stands or, of a parked copy, where its call ran; or
        has ended there.

        If not, it can be handed on from there only by `waiting`'s session from now on.
        """
        answer: Future[bool] = asyncio.get_running_loop().create_future()
        self._asked.append((waiting, answer))
        if self._searching is None or self._searching.done():
            self._searching = asyncio.create_task(self._search_all())
        return await answer

    def end(self, waiting: Waiting) -> None:
        """A request of which a copy is parked has come to its end: the copy is to be dropped."""
        place, epoch = waiting.origin.place, waiting.tenure.epoch
        task = asyncio.create_task(self._end(waiting, place, epoch))
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    async def flush(self) -> None:
        """Returns once every end is told."""
        await asyncio.gather(*self._ending)

    async def _end(self, waiting: Waiting, place: str, epoch: int) -> None:
        await self._mark(waiting, Mark(place, 0, ENDED, epoch, _until_ms(waiting)))

    async def _search_all(self) -> None:
        while self._asked:
            asked, self._asked = self._asked, []
            try:
                await self._search(asked)
            except (Undeliverable, ConnectionError) as error:
                # Whoever asked fails with it, and so does this process: a successor asks again.
                for _, answer in asked:
                    if not answer.done():
                        answer.set_exception(error)

    async def _search(self, asked: list[tuple[Waiting, "Future[bool]"]]) -> None:
        marks = [_own_mark(waiting) for waiting, _ in asked]
        placed = await asyncio.gather(
            *(self._mark(w, mark) for (w, _), mark in zip(asked, marks, strict=True))
        )
        searches = [
            _Search(mark.place, own, of_copy=waiting.parked is not None)
            for (waiting, _), mark, own in zip(asked, marks, placed, strict=True)
        ]
        oldest_ms = min(waiting.source.timestamp_ms for waiting, _ in asked) - SKEW_MS
        await self._read(searches, max(0, oldest_ms))
        for (_, answer), search in zip(asked, searches, strict=True):
            if not answer.done():
                answer.set_result(search.goes_on)

    async def _mark(self, waiting: Waiting, mark: Mark) -> Marks:
        topics = [self._topics.delay(waiting.lane, tier) for tier in TIERS]
        key, headers = waiting.id.encode(), mark_headers(mark)
        acks = await asyncio.gather(
            *(self._outbox.send(topic, b"", key=key, headers=headers) for topic in topics)
        )
        return {TopicPartition(ack.topic, ack.partition): ack.offset for ack in acks}

    async def _read(self, searches: list[_Search], since_ms: int) -> None:
        ends: Marks = {}
        for search in searches:
            for tp, offset in search.own.items():
                ends[tp] = max(ends.get(tp, 0), offset + 1)
        starts = await self._starts(dict.fromkeys(ends, since_ms))
        by_place: dict[str, list[_Search]] = defaultdict(list)
        for search in searches:
            by_place[search.place].append(search)

        def take(record: "ConsumerRecord[bytes, bytes]") -> None:
            _tell(by_place, record)

        await self._follower.follow({tp: (starts[tp], end, take) for tp, end in ends.items()})
        self._follower.unfollow(list(ends))

    async def _starts(self, times: Marks) -> Marks:
        while True:
            try:
                return await self._follower.since(times)
            except KafkaError as error:
                self._log.warning("kafka_follow_failed", code=type(error).__name__)
                await asyncio.sleep(_PAUSE_S)


def _own_mark(waiting: Waiting) -> Mark:
    tenure = waiting.tenure
    if waiting.parked is None:
        place, epoch = waiting.origin.place, tenure.epoch
    else:
        place, epoch = waiting.parked.place, COPY_EPOCH + tenure.epoch
    return Mark(place, 0, tenure.session, epoch, _until_ms(waiting))


def _until_ms(waiting: Waiting) -> int:
    return max(waiting.deadline_ms, waiting.due_ms) + KEEP_MS


def _tell(searches: dict[str, list[_Search]], record: "ConsumerRecord[bytes, bytes]") -> None:
    tp = TopicPartition(record.topic, record.partition)
    mark = mark_of(record.headers, record.offset)
    if mark is not None:
        for search in _of(searches, mark.place):
            search.mark(tp, mark)
        return
    was = origin(record.headers)
    if was is None:
        return
    is_copy = origin(record.headers, H.PARKED_FROM) is not None
    for search in _of(searches, was.place):
        if not (search.of_copy and is_copy):
            search.handed_on(tp, record.offset, was.session)


def _of(searches: dict[str, list[_Search]], place: str) -> Iterable[_Search]:
    return searches.get(place, ())
