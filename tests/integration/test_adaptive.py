"""Seats that are learned from latency, with everything real: judged by the upstream's own log."""

import asyncio
import json
import uuid
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from headrace.cli.localkafka import LocalKafka
from support.commands import headrace
from support.eventually import eventually
from support.http_client import Client
from support.installation import Installation, chat, installation, most_at_once

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(300)]

MOST = 60
KNEE = 6
"""Calls that the upstream takes at full speed."""
ASKERS = 40
SCRIPT = f"ttft=200;tokens=4;slow_above={KNEE}"


@pytest_asyncio.fixture(loop_scope="session")
async def running(
    kafka: LocalKafka, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Installation]:
    """Two dispatchers and a governor; the upstream never says that it is too much."""
    async with installation(
        kafka.bootstrap,
        tmp_path_factory.mktemp("adaptive"),
        models={"local": {"limits": {"concurrency": MOST, "adaptive": True}}},
        dispatchers=2,
        governor=True,
    ) as one:
        yield one


async def shown(running: Installation) -> dict[str, Any]:
    """The limit as an operator sees it."""
    config = str(running.stack.config_path)
    code, printed, told = await headrace("limits", "show", "--config", config, "--output", "json")
    assert code == 0, told
    (row,) = json.loads(printed)["limits"]
    assert row["configured"] == MOST
    found: dict[str, Any] = row
    return found


async def test_a_fleet_finds_how_many_calls_its_upstream_takes(running: Installation) -> None:
    enough = asyncio.Event()

    async def ask(client: Client, statuses: Counter[int]) -> None:
        while not enough.is_set():
            body = chat(str(uuid.uuid4()), "local", user=SCRIPT, stream=True)
            statuses[(await client.ask(body)).status] += 1

    async def grown() -> bool:
        learned = (await shown(running))["learned"]
        return learned is not None and learned > KNEE + 3

    statuses: Counter[int] = Counter()
    async with Client(running.url) as client:
        asking = [asyncio.create_task(ask(client, statuses)) for _ in range(ASKERS)]
        await eventually(grown, within_s=150, every_s=1.0)
        settled = await shown(running)
        enough.set()
        await asyncio.gather(*asking)
    assert set(statuses) == {200}
    assert KNEE < settled["learned"] <= 3 * KNEE
    assert settled["in_force"] <= settled["learned"]
    # There was always more to send than that.
    assert KNEE < most_at_once(running.calls()) <= 3 * KNEE
