"""What stands in the topics of the governor, read by a plain consumer as it comes."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition

from headrace.schemas.breakers import Transition, decode
from headrace.schemas.journal import SessionId
from headrace.schemas.limits import (
    LIMIT_PARTITION,
    Claim,
    End,
    Epoch,
    Flow,
    Grants,
    Report,
    decode_command,
    decode_report,
)
from headrace.schemas.topics import Topics

PAUSE_S = 0.05


class Given(NamedTuple):
    """A record of the grants that gave somebody more than before."""

    at_ms: int
    epoch: Epoch


@dataclass
class Watch:
    """Everything so far. Times are the broker's, which is this machine's clock."""

    records: list[int] = field(default_factory=list)
    """Times of all records, of both topics."""
    claims: list[tuple[int, Claim]] = field(default_factory=list)
    ends: list[tuple[int, End]] = field(default_factory=list)
    given: list[Given] = field(default_factory=list)
    moved: list[tuple[int, Transition]] = field(default_factory=list)
    """Changes of breakers, with the time at which the broker had them."""
    spent: dict[tuple[SessionId, Flow], int] = field(default_factory=dict)
    """Requests that each session told of."""
    _granted: dict[tuple[SessionId, Flow], int] = field(default_factory=dict)

    def first_given(self, since_ms: int, above: Epoch) -> int | None:
        """When an owner after `above` first gave something new; None: it has not."""
        times = (one.at_ms for one in self.given if one.epoch > above and one.at_ms >= since_ms)
        return next(times, None)

    def ended(self, since_ms: int) -> tuple[int, End] | None:
        """The first end of a session with credits in hand since then."""
        return next((one for one in self.ends if one[0] >= since_ms and one[1].residual), None)

    @property
    def epoch(self) -> Epoch:
        """The newest owner's."""
        return max((claim.epoch for _, claim in self.claims), default=Epoch(0))

    def per_s(self, begin_ms: int, end_ms: int) -> float:
        """Records a second between two times."""
        count = sum(begin_ms <= at < end_ms for at in self.records)
        return count / (end_ms - begin_ms) * 1000

    def take_grant(self, at_ms: int, value: bytes) -> None:
        """One record of `limits.grants`."""
        self.records.append(at_ms)
        command = decode_command(value)
        if isinstance(command, Claim):
            self.claims.append((at_ms, command))
        elif isinstance(command, End):
            self.ends.append((at_ms, command))
        elif isinstance(command, Grants) and self._more(command):
            self.given.append(Given(at_ms, command.epoch))

    def take_breaker(self, at_ms: int, value: bytes | None) -> None:
        """One record of `breakers`."""
        record = decode(value) if value else None
        if isinstance(record, Transition):
            self.moved.append((at_ms, record))

    def take_report(self, at_ms: int, value: bytes) -> None:
        """One record of `limits.reports`."""
        self.records.append(at_ms)
        report = decode_report(value)
        if isinstance(report, Report):
            for told in report.flows:
                self.spent[report.session, told.flow] = told.spent.requests

    def _more(self, command: Grants) -> bool:
        more = False
        for session in command.sessions:
            for told in session.flows:
                where = session.session, told.flow
                if told.granted.requests > self._granted.get(where, 0):
                    self._granted[where] = told.granted.requests
                    more = True
        return more


@contextlib.asynccontextmanager
async def watching(bootstrap: str, topics: Topics) -> AsyncIterator[Watch]:
    """Follow all of them from their beginning until the block ends."""
    watch = Watch()
    grants = TopicPartition(topics.limit_grants, LIMIT_PARTITION)
    reports = TopicPartition(topics.limit_reports, LIMIT_PARTITION)
    breakers = TopicPartition(topics.breakers, 0)
    async with AIOKafkaConsumer(bootstrap_servers=bootstrap) as consumer:
        consumer.assign([grants, reports, breakers])
        await consumer.seek_to_beginning(grants, reports, breakers)
        takes: dict[TopicPartition, Callable[[int, bytes], None]] = {
            grants: watch.take_grant,
            reports: watch.take_report,
            breakers: watch.take_breaker,
        }

        async def follow() -> None:
            while True:
                for place, batch in (await consumer.getmany(timeout_ms=500)).items():
                    for record in batch:
                        takes[place](record.timestamp, record.value)
                await asyncio.sleep(PAUSE_S)

        following = asyncio.create_task(follow())
        try:
            yield watch
        finally:
            following.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await following
