"""Reports to the governor while Kafka is away, and when the process stops."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import cast

import pytest
from aiokafka.errors import KafkaConnectionError
from aiokafka.structs import RecordMetadata

from headrace.dispatcher.breakers.board import Breakers
from headrace.dispatcher.clock import BrokerTime
from headrace.dispatcher.credits import Credits
from headrace.dispatcher.flows import FlowQueues
from headrace.dispatcher.governed import Governed
from headrace.dispatcher.governor.holder import Holder
from headrace.dispatcher.governor.timing import Timing
from headrace.dispatcher.kafka import reports
from headrace.dispatcher.kafka.outbox import Outbox
from headrace.dispatcher.kafka.reports import END_S, MOST_UNACKED, ReportChannel
from headrace.dispatcher.overheard import Overheard
from headrace.dispatcher.reports import Reports
from headrace.dispatcher.seats import Seats
from headrace.schemas.config.model import Config
from headrace.schemas.limits import Report, Unreadable, decode_report
from headrace.schemas.topics import Topics
from headrace.telemetry.logs import get_log
from support.dispatch import process
from support.eventually import eventually

EAST = {"name": "east", "model": "m", "upstream": {"base_url": "http://127.0.0.1:1/v1"}}
QUICK = Timing(idle_report_ms=20, busy_report_ms=10, tick_ms=10)


class Broker:
    """An outbox whose Kafka acknowledges, is slow, or is away."""

    def __init__(self) -> None:
        self.away = False
        self.acknowledges = True
        self.hangs = False
        self.unacked: list[asyncio.Future[RecordMetadata]] = []
        self.tried = 0
        self.reports: list[Report] = []

    async def post(
        self, _topic: str, value: bytes, *, partition: int
    ) -> "asyncio.Future[RecordMetadata]":
        self.tried += 1
        if self.away:
            raise KafkaConnectionError
        if self.hangs:
            await asyncio.Event().wait()
        report = decode_report(value)
        assert not isinstance(report, Unreadable)
        assert partition == 0
        self.reports.append(report)
        ack: asyncio.Future[RecordMetadata] = asyncio.get_running_loop().create_future()
        if self.acknowledges:
            ack.set_result(cast("RecordMetadata", None))
        else:
            self.unacked.append(ack)
        return ack

    def acknowledge(self) -> None:
        """All that is on its way."""
        for ack in self.unacked:
            ack.set_result(cast("RecordMetadata", None))
        self.unacked.clear()


@asynccontextmanager
async def telling(broker: Broker) -> AsyncIterator[tuple[ReportChannel, Holder]]:
    """A channel that reports very often."""
    clock = BrokerTime()
    holder = Holder(process("own"), QUICK, int(clock.monotonic() * 1000))
    config = Config.model_validate({"deployments": [EAST]})
    in_hand = Credits(holder, FlowQueues([], 0.1), Seats([]), Governed(config))
    channel = ReportChannel(
        Reports(process("own"), Breakers(config, process("own")), Overheard(), in_hand),
        topics=Topics("t."),
        outbox=cast("Outbox", broker),
        clock=clock,
        log=get_log(),
    )
    task = asyncio.create_task(channel._tell())
    try:
        yield channel, holder
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def more_than(count: Callable[[], int], so_many: int) -> None:
    await eventually(lambda: count() > so_many)


async def test_reports_that_kafka_does_not_take_are_dropped() -> None:
    broker = Broker()
    broker.away = True
    async with telling(broker):
        await more_than(lambda: broker.tried, 5)
        assert broker.reports == []
        tried, broker.away = broker.tried, False
        await more_than(lambda: len(broker.reports), 0)
        # The first that arrives is the newest; those before it are told of no more.
        assert broker.reports[0].seq > tried


async def test_reports_that_are_not_acknowledged_do_not_pile_up() -> None:
    broker = Broker()
    broker.acknowledges = False
    async with telling(broker) as (_, holder):
        await more_than(lambda: len(broker.reports), MOST_UNACKED - 1)
        await more_than(lambda: holder._seq, 3 * MOST_UNACKED)
        assert len(broker.reports) == MOST_UNACKED


async def test_the_last_report_says_so() -> None:
    broker = Broker()
    async with telling(broker) as (channel, _):
        await more_than(lambda: len(broker.reports), 1)
        await channel.end()
        count = len(broker.reports)
        assert broker.reports[-1].last
        await asyncio.sleep(0)
        assert len(broker.reports) == count


async def test_the_last_report_is_sent_however_many_are_unacknowledged() -> None:
    broker = Broker()
    broker.acknowledges = False
    async with telling(broker) as (channel, _):
        await more_than(lambda: len(broker.reports), MOST_UNACKED - 1)
        ending = asyncio.create_task(channel.end())
        await eventually(lambda: broker.reports[-1].last)
        assert not ending.done()
        broker.acknowledge()
        async with asyncio.timeout(END_S / 2):
            await ending


@pytest.mark.parametrize("hangs", [False, True])
async def test_the_end_is_bounded_in_time(hangs: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reports, "END_S", 0.1)
    broker = Broker()
    broker.acknowledges = False
    async with telling(broker) as (channel, _):
        await more_than(lambda: len(broker.reports), 1)
        broker.hangs = hangs
        async with asyncio.timeout(1):
            await channel.end()
        assert broker.reports[-1].last is not hangs


async def test_the_end_comes_also_when_kafka_is_away() -> None:
    broker = Broker()
    async with telling(broker) as (channel, _):
        await more_than(lambda: len(broker.reports), 1)
        broker.away = True
        async with asyncio.timeout(END_S / 2):
            await channel.end()
