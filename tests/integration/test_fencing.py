"""Owners that sleep, claim late, or whose topic is replaced: what they left counts only where it may."""

import asyncio
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from headrace.cli.localkafka import LocalKafka
from headrace.schemas.journal import Claim, ProcessId, SessionId, encode
from support.commits import all_committed
from support.direct import Direct
from support.eventually import eventually
from support.http_client import Client
from support.installation import Installation, chat, installation

pytestmark = pytest.mark.asyncio(loop_scope="session")

PARTITIONS = 4
SLEEP_S = 16.0
"""Twice the session time-out."""


@pytest_asyncio.fixture(loop_scope="session")
async def pair(
    kafka: LocalKafka, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Installation]:
    """Two dispatchers."""
    async with installation(
        kafka.bootstrap,
        tmp_path_factory.mktemp("fencing"),
        dispatchers=2,
        models={"small": {"limits": {"process_concurrency": 32}}},
        overlay={"kafka": {"partitions": {"requests": PARTITIONS}}},
    ) as one:
        yield one


async def test_a_dispatcher_that_slept_through_its_death_starts_nothing_it_lost(
    pair: Installation,
) -> None:
    """It wakes with calls that ended, retries that wait, and records that it read: all another's by then."""
    sleeper = pair.stack.dispatchers[0]
    scripts = ("latency=100", "fail=1x500;latency=400", "fail=1x429;retry_after=3;latency=200")
    async with Client(pair.url) as client:
        bodies = [chat(f"sleep {n}", user=scripts[n % 3]) for n in range(120)]
        flood = asyncio.create_task(client.flood(bodies, 40))
        await eventually(lambda: len(pair.calls()) >= 40)
        os.kill(sleeper.pid, signal.SIGSTOP)
        try:
            answers = await flood
        finally:
            os.kill(sleeper.pid, signal.SIGCONT)
        assert Counter(answer.status for answer in answers) == {200: len(bodies)}
        await sleeper.ready(120)
        after = await asyncio.gather(*(client.ask(chat(f"after {n}")) for n in range(20)))
    assert {answer.status for answer in after} == {200}
    wanted = [1 if n % 3 == 0 else 2 for n in range(len(bodies))]
    made = [len(pair.calls(answer.id)) for answer in answers]
    repeated = sum(made) - sum(wanted)
    assert repeated <= 32, "more than the sleeper had in flight"


async def test_a_late_claim_leaves_no_partition_unread(pair: Installation) -> None:
    """A process that claims after the owner, and dies before it reads: the group still knows the owner."""
    lane = pair.topics.requests("standard")
    ghost = Claim(SessionId("d-ghost.1"), ProcessId("d-ghost"))
    for partition in range(PARTITIONS):
        await pair.produce(pair.topics.journal(lane), encode(ghost), partition=partition)
    requests = [await Direct.send(pair, partition=n) for n in range(PARTITIONS)]
    for request in requests:
        assert await request.outcome() == ("completed", "")
        assert len(request.calls()) == 1


async def test_a_topic_that_is_created_anew_is_read_from_its_beginning(pair: Installation) -> None:
    """Its journal told of the old one's offsets: as many new records were passed over."""
    lane = pair.topics.requests("standard")
    before = [await Direct.send(pair, partition=n % PARTITIONS) for n in range(3 * PARTITIONS)]
    for request in before:
        await request.outcome()
    await recreate(pair, lane)
    after = [await Direct.send(pair, partition=n % PARTITIONS) for n in range(2 * PARTITIONS)]
    for request in after:
        assert await request.outcome(90) == ("completed", "")
        assert len(request.calls()) == 1
    assert {len(request.calls()) for request in before} == {1}


async def test_a_journal_that_is_created_anew_is_read_from_its_beginning(
    pair: Installation,
) -> None:
    """Bookmarks led beyond its end, so that no claim of a partition was ever seen."""
    lane = pair.topics.requests("standard")
    before = [await Direct.send(pair, partition=n % PARTITIONS) for n in range(PARTITIONS)]
    for request in before:
        await request.outcome()
    # Else only the journal, which goes now, knows that they are done.
    await eventually(lambda: all_committed(pair))
    for dispatcher in pair.stack.dispatchers:
        dispatcher.terminate()
        await dispatcher.wait()
    await recreate(pair, pair.topics.journal(lane))
    for dispatcher in pair.stack.dispatchers:
        await dispatcher.start()
    after = [await Direct.send(pair, partition=n % PARTITIONS) for n in range(PARTITIONS)]
    for request in after:
        assert await request.outcome(90) == ("completed", "")
        assert len(request.calls()) == 1
    assert {len(request.calls()) for request in before} == {1}


async def recreate(pair: Installation, topic: str) -> None:
    """Delete a topic and create it again, as an operator would by mistake."""
    admin = AIOKafkaAdminClient(bootstrap_servers=pair.bootstrap)
    await admin.start()
    try:
        await admin.delete_topics([topic])

        async def gone() -> bool:
            return topic not in await admin.list_topics()

        await eventually(gone)
        settings = {"message.timestamp.type": "LogAppendTime"}
        await admin.create_topics([NewTopic(topic, PARTITIONS, 1, topic_configs=settings)])
    finally:
        await admin.close()
