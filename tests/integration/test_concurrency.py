"""Calls at a time over the whole fleet, with everything real, judged by the upstream's own log."""

import asyncio
import re
import uuid
from collections import Counter
from collections.abc import AsyncIterator

import aiohttp
import pytest
import pytest_asyncio

from headrace.cli.localkafka import LocalKafka
from headrace.cli.mock.log import Outcome
from support.eventually import eventually
from support.http_client import Client
from support.installation import Installation, chat, installation, most_at_once

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(240)]

SEATS = 4
CALLS = 60
SCRIPT = "latency=400"


@pytest_asyncio.fixture(loop_scope="session")
async def running(
    kafka: LocalKafka, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Installation]:
    """Three dispatchers and a governor."""
    async with installation(
        kafka.bootstrap,
        tmp_path_factory.mktemp("concurrency"),
        models={"seated": {"limits": {"concurrency": SEATS}}},
        dispatchers=3,
        governor=True,
        overlay={"kafka": {"partitions": {"requests": 12}}},
    ) as one:
        yield one


async def calling(running: Installation, number: int) -> bool:
    """Whether that dispatcher has a call in flight."""
    port = running.stack.layout.dispatchers[number]
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{port}/metrics") as response,
    ):
        text = await response.text()
    found = re.search(r"^headrace_upstream_inflight_requests{.*} (\S+)$", text, re.MULTILINE)
    return found is not None and float(found[1]) > 0


async def test_a_fleet_never_holds_more_calls_than_the_limit_while_a_dispatcher_is_killed(
    running: Installation,
) -> None:
    victim = running.stack.dispatchers[0]
    bodies = [chat(f"{n} {uuid.uuid4()}", "seated", user=SCRIPT) for n in range(CALLS)]
    async with Client(running.url) as client:
        asking = [asyncio.create_task(client.ask(one)) for one in bodies]
        await eventually(lambda: calling(running, 0), within_s=60, every_s=0.01)
        victim.kill()
        await victim.wait()
        answers = await asyncio.gather(*asking)
    assert Counter(answer.status for answer in answers) == {200: CALLS}
    calls = running.calls()
    assert most_at_once(calls) == SEATS
    ends = Counter(one.finished.outcome for one in calls if one.finished)
    assert ends[Outcome.ANSWERED] >= CALLS
    assert ends.total() == len(calls) <= CALLS + SEATS
