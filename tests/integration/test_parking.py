"""A slow call does not stop its partition, and an id that stands there twice runs once."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from headrace.cli.localkafka import LocalKafka
from support.commits import committed
from support.direct import Direct
from support.eventually import eventually
from support.installation import Installation, chat, header, installation

pytestmark = pytest.mark.asyncio(loop_scope="session")

BEHIND = 40
SLOW_S = 8


@pytest_asyncio.fixture(loop_scope="session")
async def unhurried(
    kafka: LocalKafka, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Installation]:
    """One dispatcher that parks as configurations have it, and calls that may take a quarter of an hour."""
    async with installation(
        kafka.bootstrap,
        tmp_path_factory.mktemp("unhurried"),
        models={"small": {"timeouts": {"total_s": 900}}},
        overlay={"lanes": {"standard": {"deadline_s": 1_200}}},
    ) as one:
        yield one


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def running(
    kafka: LocalKafka, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Installation]:
    """One dispatcher that parks soon."""
    async with installation(
        kafka.bootstrap,
        tmp_path_factory.mktemp("parking"),
        models={"small": {"timeouts": {"total_s": 10}}},
        overlay={"dispatcher": {"park_after_s": 1, "park_behind": BEHIND, "drain_s": 3}},
    ) as one:
        yield one


async def parked_copies(running: Installation) -> dict[bytes, bytes | None]:
    """Ids and reasons of the copies in the delay topics."""
    found: dict[bytes, bytes | None] = {}
    for tier in ("1s", "10s"):
        for record in await running.dump(running.topics.delay("standard", tier)):
            if header(record, "headrace-parked-from"):
                found[header(record, "ce_id") or b""] = header(record, "headrace-due-ms")
    return found


async def slow_with_followers(
    running: Installation, script: str, count: int = 2 * BEHIND, within_s: float = 30
) -> Direct:
    """A slow call in a partition, and `count` that came after it, all of them done and committed."""
    slow = await Direct.send(running, script)
    await slow.called()
    lane = running.topics.requests("standard")
    followers = [chat(f"{slow.id} {n}") for n in range(count)]
    last = await running.produce_all(lane, followers, partition=0)

    async def moved_on() -> bool:
        return await committed(running) > last

    await eventually(moved_on, within_s=within_s, every_s=0.2)
    return slow


async def test_a_slow_call_is_parked_and_its_partition_goes_on(running: Installation) -> None:
    slow = await slow_with_followers(running, f"latency={SLOW_S * 1000}")
    assert not await slow.finals(), "the call was to run still"
    assert slow.id.encode() in await parked_copies(running)
    assert await slow.outcome() == ("completed", "")
    # Behind the copy's time the delay partition has nothing left to do.
    group, topics = running.topics.delay_group, running.topics

    async def copy_is_over() -> bool:
        admin = AIOKafkaAdminClient(bootstrap_servers=running.bootstrap)
        await admin.start()
        try:
            partitions = [TopicPartition(topics.delay("standard", t), 0) for t in ("1s", "10s")]
            at = await admin.list_consumer_group_offsets(group, partitions=partitions)
            ends = [len(await running.dump(tp.topic)) for tp in partitions]
        finally:
            await admin.close()
        return [at[tp].offset for tp in partitions] == ends

    await eventually(copy_is_over, within_s=60, every_s=1)
    assert len(slow.calls()) == 1
    assert len(await slow.finals()) == 1


async def test_a_parked_call_whose_process_died_is_made_again_by_its_copy(
    running: Installation,
) -> None:
    slow = await slow_with_followers(running, "fail=1xstall")
    (dispatcher,) = running.stack.dispatchers
    dispatcher.kill()
    await dispatcher.wait()
    await dispatcher.start()
    assert await slow.outcome(90) == ("completed", "")
    assert len(slow.calls()) == 2


async def test_an_id_that_comes_twice_runs_once(running: Installation) -> None:
    first = await Direct.send(running, "latency=500", text="same")
    again = await Direct.send(running, "latency=500", text="same", request_id=first.id)
    assert await first.outcome() == ("completed", "")
    third = await Direct.send(running, "latency=500", text="same", request_id=first.id)
    await (await Direct.send(running)).outcome()
    assert len(first.calls()) == 1
    assert await again.finals() == await third.finals() == []


async def test_an_id_that_comes_with_another_body_is_refused(running: Installation) -> None:
    first = await Direct.send(running, text="one body")
    other = await Direct.send(running, text="another body", request_id=first.id)
    assert await first.outcome() == ("completed", "")
    assert await other.outcome() == ("dead_lettered", "idempotency_mismatch")
    assert await other.letters() == ["idempotency_mismatch"]
    assert len(first.calls()) == 1


@pytest.mark.long
@pytest.mark.timeout(1200)
async def test_a_call_of_ten_minutes_holds_nothing_back(unhurried: Installation) -> None:
    slow = await slow_with_followers(unhurried, "latency=600000", 10_000, within_s=300)
    assert not await slow.finals(), "the call was to run still"
    assert await slow.outcome(700) == ("completed", "")
    assert len(slow.calls()) == 1
    assert len(unhurried.calls()) == 10_001
