"""Limits by the minute with everything real: dispatchers, the governor's process, the upstream's own log."""

import asyncio
import uuid
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from headrace.cli.localkafka import LocalKafka
from support.eventually import eventually
from support.http_client import Client
from support.installation import Installation, chat, installation

pytestmark = pytest.mark.asyncio(loop_scope="session")

RPM = 30
WINDOW_MS = 60_000
LEAST = 8
"""More than a tenth of the limit, which goes at once: the others come at its pace, of the next governor."""


@pytest_asyncio.fixture(loop_scope="session")
async def running(
    kafka: LocalKafka, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Installation]:
    """Two dispatchers and a governor."""
    async with installation(
        kafka.bootstrap,
        tmp_path_factory.mktemp("governed"),
        models={"limited": {"limits": {"requests_per_minute": RPM}}},
        dispatchers=2,
        governor=True,
    ) as one:
        yield one


async def test_the_limit_holds_while_the_governor_is_killed_and_started_again(
    running: Installation,
) -> None:
    (governor,) = running.stack.governors
    bodies = [chat(f"{number} {uuid.uuid4()}", "limited") for number in range(2 * RPM)]
    async with Client(running.url) as client:
        asking = [asyncio.create_task(client.ask(one, headrace_timeout="300")) for one in bodies]
        await eventually(running.calls)
        governor.kill()
        await governor.wait()
        await governor.start()
        await eventually(lambda: sum(one.done() for one in asking) >= LEAST, within_s=50)
        answers = [one.result() for one in asking if one.done()]
        for one in asking:
            one.cancel()
        await asyncio.gather(*asking, return_exceptions=True)
    times = sorted(call.received.received_at for call in running.calls())
    assert max(sum(at - WINDOW_MS < one <= at for one in times) for at in times) <= RPM
    assert {answer.status for answer in answers} == {200}
