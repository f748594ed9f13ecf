"""Limits by the minute with everything real: dispatchers, the governor's process, the upstream's own log."""

import asyncio
import uuid
from collections import Counter
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from headrace.cli.localkafka import LocalKafka
from support.eventually import eventually
from support.http_client import Client
from support.installation import Installation, chat, installation

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(180)]

RPM = 30
WINDOW_MS = 60_000
WAIT_S = 20
LEAST = 8
"""Answered in that time: a tenth of the limit at once, and then at its pace."""


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
        asking = [
            asyncio.create_task(client.ask(one, headrace_timeout=str(WAIT_S))) for one in bodies
        ]
        await eventually(running.calls, within_s=WAIT_S)
        governor.kill()
        await governor.wait()
        await governor.start()
        answers = await asyncio.gather(*asking)
    times = sorted(call.received.received_at for call in running.calls())
    assert max(sum(at - WINDOW_MS < one <= at for one in times) for at in times) <= RPM
    statuses = Counter(answer.status for answer in answers)
    assert statuses[200] >= LEAST
    assert statuses == {200: len(times), 504: len(bodies) - len(times)}
