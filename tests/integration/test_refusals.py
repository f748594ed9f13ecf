"""Upstreams that turn calls away, with everything real: what the fleet then does, by the upstream's log."""

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

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(300)]

HIDDEN = 30
"""Calls that the upstream takes in `WINDOW_S`, whatever is configured."""
WINDOW_S = 10
SEATS = 4
"""Of one process: so many calls may be refused before anybody can know."""
ASKED = 60


@pytest_asyncio.fixture(loop_scope="session")
async def running(
    kafka: LocalKafka, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Installation]:
    """Two dispatchers and a governor; the configured limit of one deployment is too high, one has none."""
    models = {
        "limited": {"limits": {"requests_per_minute": 600, "process_concurrency": SEATS}},
        "free": {"limits": {"process_concurrency": SEATS}},
    }
    async with installation(
        kafka.bootstrap,
        tmp_path_factory.mktemp("refusals"),
        models=models,
        dispatchers=2,
        governor=True,
    ) as one:
        yield one


@pytest.mark.parametrize(("model", "most"), [("limited", 4 * SEATS), ("free", ASKED)])
async def test_a_fleet_that_is_refused_leaves_its_upstream_alone_and_answers_everybody(
    running: Installation, model: str, most: int
) -> None:
    script = f"requests_per_minute={HIDDEN};window_s={WINDOW_S};latency_ms=20"
    bodies = [chat(f"{number} {uuid.uuid4()}", model, user=script) for number in range(ASKED)]
    async with Client(running.url) as client:
        answers = await asyncio.gather(*(client.ask(one, headrace_timeout="120") for one in bodies))
    assert Counter(answer.status for answer in answers) == {200: ASKED}
    statuses = await eventually(lambda: _statuses(running, model), within_s=30)
    assert statuses[200] == ASKED
    # Twice as much as there is was asked for: at first all seats meet the limit, then a few calls try. Where
    # no limit is configured each request waits for itself.
    assert 0 < statuses[429] <= most


def _statuses(running: Installation, model: str) -> Counter[int]:
    calls = [one for one in running.calls() if one.received.model == model]
    return Counter(one.finished.status for one in calls if one.finished is not None)
