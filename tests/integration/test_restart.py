"""Processes that go away and come back: what was accepted is answered, what is new works."""

import asyncio
import uuid
from collections import Counter
from collections.abc import AsyncIterator

import aiohttp
import pytest
import pytest_asyncio

from headrace.cli.localkafka import LocalKafka
from support.eventually import eventually
from support.http_client import Client
from support.installation import Installation, chat, installation

pytestmark = pytest.mark.asyncio(loop_scope="session")

QUEUED = 200


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def running(
    kafka: LocalKafka, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Installation]:
    """One dispatcher; its processes are stopped and started by the tests."""
    async with installation(
        kafka.bootstrap, tmp_path_factory.mktemp("restart"), models={"small": {}}
    ) as one:
        yield one


async def test_what_queued_up_without_a_dispatcher_is_answered_by_the_next_one(
    running: Installation, client: Client
) -> None:
    (dispatcher,) = running.stack.dispatchers
    dispatcher.terminate()
    assert await dispatcher.wait() == 0
    bodies = [chat(f"queued {n} {uuid.uuid4()}") for n in range(QUEUED)]
    asking = [asyncio.create_task(client.ask(body)) for body in bodies]

    async def all_wait() -> bool:
        return len(await running.dump(running.topics.requests("standard"))) == QUEUED

    await eventually(all_wait, every_s=0.2)
    assert running.calls() == []
    await dispatcher.start()
    answers = await asyncio.gather(*asking)
    assert {answer.status for answer in answers} == {200}
    assert Counter(call.received.request_id for call in running.calls()) == {
        answer.id: 1 for answer in answers
    }


async def test_a_killed_ingress_serves_again_once_it_is_started(
    running: Installation, client: Client
) -> None:
    ingress = running.stack.ingress
    waiting = asyncio.create_task(client.ask(chat("lost with the ingress", user="latency=3000")))
    await eventually(lambda: running.calls_with(chat("lost with the ingress", user="latency=3000")))
    ingress.kill()
    await ingress.wait()
    with pytest.raises(aiohttp.ClientError):
        await waiting
    await ingress.start()
    await ingress.ready(120)
    answers = await asyncio.gather(*(client.ask(chat(f"after it {n}")) for n in range(20)))
    assert {answer.status for answer in answers} == {200}


async def test_a_dispatcher_killed_alone_is_followed_by_its_own_successor(
    running: Installation, client: Client
) -> None:
    (dispatcher,) = running.stack.dispatchers
    bodies = [chat(f"held {n} {uuid.uuid4()}", user="latency=1500") for n in range(5)]
    asking = [asyncio.create_task(client.ask(body)) for body in bodies]
    await eventually(lambda: all(running.calls_with(body) for body in bodies))
    dispatcher.kill()
    await dispatcher.wait()
    await dispatcher.start()
    answers = await asyncio.gather(*asking)
    assert {answer.status for answer in answers} == {200}
    assert {len(running.calls_with(body)) for body in bodies} == {2}


async def test_a_dispatcher_stopped_while_it_gets_its_partitions_ends_cleanly(
    running: Installation, client: Client
) -> None:
    """Once it read on from a consumer that was closed, and ended with a traceback."""
    (dispatcher,) = running.stack.dispatchers
    for _ in range(3):
        dispatcher.terminate()
        assert await dispatcher.wait() == 0
        await dispatcher.start()
        await dispatcher.ready(120)
    assert (await client.ask(chat("after three restarts"))).status == 200
