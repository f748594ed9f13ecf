"""Real governor processes on a real Kafka: what a dispatcher may send, whatever happens to them."""

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest_asyncio
from aiokafka import AIOKafkaProducer

from headrace.cli.localkafka import LocalKafka
from headrace.schemas.limits import LIMIT_PARTITION
from support.asker import Asker
from support.eventually import eventually
from support.governing import Governed, governors

QUICK = 3.0
LIMIT = 20


@pytest_asyncio.fixture
async def governed(kafka: LocalKafka, topic_prefix: str) -> AsyncIterator[Governed]:
    """A limit that is used up at once, and free again soon."""
    where = Governed(kafka.bootstrap, topic_prefix, requests=LIMIT, window_s=QUICK)
    await where.create_topics()
    yield where


async def test_a_dispatcher_may_send_what_the_limit_allows_and_no_more(
    governed: Governed, tmp_path: Path
) -> None:
    async with (
        governors(governed, tmp_path, 1) as (governor,),
        Asker(governed.bootstrap, governed.topics) as asker,
    ):
        await eventually(lambda: len(asker.spends) >= 80, within_s=60, every_s=0.1)

        async def in_use() -> bool:
            return await governor.metric("headrace_limit_utilization_ratio") > 0

        await eventually(in_use, every_s=0.2)
    assert asker.most_in(QUICK) <= LIMIT


async def test_what_cannot_be_read_is_counted_and_changes_nothing(
    governed: Governed, tmp_path: Path
) -> None:
    garbage = [b"", b"\xff\x00", b"[]", b'["report.9"]', b'{"a": 1}', b'["report.1",1]']
    async with (
        governors(governed, tmp_path, 1) as (owner,),
        Asker(governed.bootstrap, governed.topics) as asker,
        AIOKafkaProducer(bootstrap_servers=governed.bootstrap) as producer,
    ):
        await eventually(lambda: asker.spends, within_s=60)
        for value in garbage:
            for topic in (governed.topics.limit_reports, governed.topics.limit_grants):
                await producer.send_and_wait(topic, value, key=b"k", partition=LIMIT_PARTITION)

        async def counted() -> bool:
            passed_over = await owner.metric("headrace_governor_unreadable_records_total")
            return passed_over == 2 * len(garbage)

        await eventually(counted)
        before = len(asker.spends)
        await eventually(lambda: len(asker.spends) > before + 5, within_s=60)
        assert await owner.metric("headrace_governor_takeovers_total") == 1
    assert asker.most_in(QUICK) <= LIMIT


async def test_a_governor_grants_again_by_itself_after_kafka_was_away(tmp_path: Path) -> None:
    async with LocalKafka(tmp_path / "kafka") as kafka:
        where = Governed(kafka.bootstrap, "x.", requests=1_000, window_s=QUICK)
        await where.create_topics()
        async with (
            governors(where, tmp_path, 1) as (governor,),
            Asker(where.bootstrap, where.topics) as asker,
        ):
            await eventually(lambda: asker.spends, within_s=60)
            await kafka.node.kill()
            await eventually(lambda: _unready(governor.ready))
            await kafka.node.start()
            before = len(asker.spends)
            await eventually(lambda: len(asker.spends) > before + 20, within_s=60)
            assert governor.child.returncode is None


async def test_a_governor_ends_in_order_when_it_is_told_to(
    governed: Governed, tmp_path: Path
) -> None:
    async with governors(governed, tmp_path, 1) as (governor,):
        governor.child.signal(signal.SIGTERM)
        async with asyncio.timeout(60):
            assert await governor.child.wait() == 0
        assert governor.told("governor_stopped")


async def _unready(ready: Callable[[], Awaitable[bool]]) -> bool:
    return not await ready()
