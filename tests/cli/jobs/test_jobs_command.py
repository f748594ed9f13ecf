"""`headrace jobs` against a real installation: what is printed, and what each exit code says."""

import json
from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio

from headrace.cli.localkafka import LocalKafka
from support.commands import headrace
from support.installation import Installation, chat, installation
from support.jobs import submitted

pytestmark = pytest.mark.asyncio(loop_scope="session")

SILENT = "latency=60000"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def running(
    kafka: LocalKafka, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Installation]:
    async with installation(
        kafka.bootstrap, tmp_path_factory.mktemp("jobs"), models={"small": {}}
    ) as one:
        yield one


async def submit(running: Installation, body: bytes) -> str:
    """The id of a new job."""
    async with httpx.AsyncClient(trust_env=False) as http:
        accepted = await http.post(
            f"{running.url}/jobs",
            content=submitted(body),
            headers={"content-type": "application/json"},
        )
    assert accepted.status_code == 202
    return str(accepted.json()["id"])


async def jobs(running: Installation, *arguments: str) -> tuple[int, bytes, str]:
    return await headrace("jobs", *arguments, "--url", running.stack.ingress_url)


async def test_get_shows_a_job_and_its_answer(running: Installation) -> None:
    job = await submit(running, chat("show me"))
    code, table, _ = await jobs(running, "get", job, "--wait", "30")
    assert code == 0
    assert b"completed" in table
    code, printed, _ = await jobs(running, "get", job, "--output", "json")
    shown = json.loads(printed)
    assert (code, shown["id"], shown["response"]["status"]) == (0, job, 200)


async def test_cancel_cancels_once_and_says_what_had_ended_before(running: Installation) -> None:
    waiting = await submit(running, chat("never", user=SILENT))
    for _ in range(2):
        code, printed, _ = await jobs(running, "cancel", waiting, "--output", "json")
        assert (code, json.loads(printed)["state"]) == (0, "cancelled")
    done = await submit(running, chat("done"))
    await jobs(running, "get", done, "--wait", "30")
    code, _, told = await jobs(running, "cancel", done)
    assert (code, told.partition(":")[0]) == (11, "not_cancellable")


async def test_tail_prints_the_tokens_of_a_stream(running: Installation) -> None:
    job = await submit(running, chat("tell", stream=True, user="tokens=5;tps=20"))
    code, printed, told = await jobs(running, "tail", job)
    assert code == 0, told
    assert len(printed.split()) == 5
    code, lines, _ = await jobs(running, "tail", job, "--output", "json")
    events = [json.loads(line) for line in lines.splitlines()]
    assert (code, events[-1]["data"]) == (0, "[DONE]")
    code, lines, _ = await jobs(
        running, "tail", job, "--output", "json", "--after", events[-2]["id"]
    )
    assert [json.loads(line)["data"] for line in lines.splitlines()] == ["[DONE]"]


async def test_tail_ends_with_the_error_of_a_job(running: Installation) -> None:
    job = await submit(running, chat("never", user=SILENT))
    await jobs(running, "cancel", job)
    code, _, told = await jobs(running, "tail", job)
    assert (code, told.splitlines()[-1].partition(":")[0]) == (5, "cancelled")


@pytest.mark.parametrize("command", ["get", "cancel", "tail"])
async def test_an_unknown_job_and_an_ingress_that_is_away_have_their_codes(
    running: Installation, command: str
) -> None:
    code, _, told = await jobs(running, command, "unknown/../id")
    assert (code, told.partition(":")[0]) == (4, "job_not_found")
    code, _, _ = await headrace("jobs", command, "x", "--url", "http://127.0.0.1:1")
    assert code == 12
