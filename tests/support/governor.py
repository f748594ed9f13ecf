"""A governor as a test needs it: the owner's core between two topics of a real Kafka."""

import asyncio
import time
from types import TracebackType
from typing import Self

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from headrace.dispatcher.governor.allocation import AllocationPolicy
from headrace.dispatcher.governor.owner import Owner
from headrace.dispatcher.governor.takeover import take_over
from headrace.dispatcher.governor.timing import Timing
from headrace.dispatcher.governor.tree import Tree
from headrace.schemas.journal import ProcessId
from headrace.schemas.limits import (
    LIMIT_PARTITION,
    Beat,
    Claim,
    Command,
    Epoch,
    Report,
    Unreadable,
    decode_command,
    decode_report,
    encode,
)
from headrace.schemas.topics import Topics
from support.eventually import eventually


class ScriptedGovernor:
    """Owns the partition of an empty log, from `async with` to its end; it cannot be replaced."""

    def __init__(
        self, bootstrap: str, topics: Topics, limits: Tree, policy: AllocationPolicy
    ) -> None:
        self._bootstrap = bootstrap
        self._reports = TopicPartition(topics.limit_reports, LIMIT_PARTITION)
        self._grants = TopicPartition(topics.limit_grants, LIMIT_PARTITION)
        self._limits = limits
        self._policy = policy
        self._timing = Timing()
        self.reports: list[Report] = []
        """All that it has heard."""
        self.holding = False
        """Whether it decides nothing: requests gather."""

    async def __aenter__(self) -> Self:
        self._producer = AIOKafkaProducer(bootstrap_servers=self._bootstrap, acks="all")
        self._consumer = AIOKafkaConsumer(bootstrap_servers=self._bootstrap, fetch_max_wait_ms=20)
        await self._producer.start()
        await self._consumer.start()
        self._consumer.assign([self._reports, self._grants])
        await self._consumer.seek_to_beginning(self._grants)
        await self._consumer.seek_to_end(self._reports)
        await self._consumer.position(self._reports)
        claim = Claim(Epoch(1), ProcessId("scripted"))
        await self._write([claim])
        self._owner = Owner(claim.epoch, self._limits, self._policy, self._timing, _now_ms())
        take_over(self._owner, [(_now_ms(), claim)], [], now_ms=_now_ms(), intact=True)
        self._work = asyncio.create_task(self._run())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._work.cancel()
        await asyncio.gather(self._work, return_exceptions=True)
        await self._consumer.stop()
        await self._producer.stop()
        if not self._work.cancelled():
            self._work.result()

    async def hears(self, count: int) -> None:
        """Returns once it has heard so many reports more, and has decided as often."""
        wanted = len(self.reports) + count
        await eventually(lambda: len(self.reports) >= wanted)

    def wanted(self, deployment: str) -> dict[str, int]:
        """By tenant, what all dispatchers have told of their queues last."""
        newest = {report.session: report for report in self.reports}
        wanted: dict[str, int] = {}
        for report in newest.values():
            for told in report.flows:
                if told.flow.deployment == deployment:
                    count = sum(want.count for want in told.want)
                    wanted[told.flow.tenant] = wanted.get(told.flow.tenant, 0) + count
        return wanted

    async def write(self, value: bytes) -> None:
        """Put anything onto the grants."""
        await self._producer.send_and_wait(
            self._grants.topic, value, partition=self._grants.partition
        )

    async def _run(self) -> None:
        ticked_ms = 0
        while True:
            batches = await self._consumer.getmany(timeout_ms=self._timing.tick_ms // 2)
            for place, records in batches.items():
                for record in records:
                    self._read(place, record.value or b"", record.timestamp)
            if not self.holding and _now_ms() - ticked_ms >= self._timing.tick_ms:
                ticked_ms = _now_ms()
                await self._write(self._owner.tick(ticked_ms))

    def _read(self, place: TopicPartition, value: bytes, stamp_ms: int) -> None:
        if place == self._reports:
            report = decode_report(value)
            assert not isinstance(report, Unreadable), report.reason
            self.reports.append(report)
            self._owner.hear(report, stamp_ms)
            return
        command = decode_command(value)
        if isinstance(command, Beat):
            self._owner.read_back(command)

    async def _write(self, commands: list[Command]) -> None:
        acks = [
            await self._producer.send(
                self._grants.topic, encode(command), partition=self._grants.partition
            )
            for command in commands
        ]
        await asyncio.gather(*acks)


def _now_ms() -> int:
    return round(time.time() * 1000)
