"""What was accepted outlives its replica: jobs and streams, taken up at another one after a kill."""

import json
import signal
from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio

from headrace.cli.localkafka import LocalKafka
from support.eventually import eventually
from support.installation import Installation, chat, installation
from support.jobs import submitted
from support.replicas import Replica, replica

pytestmark = pytest.mark.asyncio(loop_scope="session")

JSON = {"content-type": "application/json"}
SLOW = "latency=3000"
TOKENS = 60
SLOW_STREAM = f"tokens={TOKENS};tps=15"


@pytest_asyncio.fixture(loop_scope="session")
async def running(
    kafka: LocalKafka, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Installation]:
    """An installation for each test: a replica of it is killed."""
    folder = tmp_path_factory.mktemp("jobs")
    overlay = {"ingress": {"index_dir": str(folder / "index")}}
    async with installation(kafka.bootstrap, folder, models={"small": {}}, overlay=overlay) as one:
        yield one


@pytest_asyncio.fixture(loop_scope="session")
async def victim(running: Installation) -> AsyncIterator[Replica]:
    """A second ingress, which is to be killed."""
    async with replica(running) as second:
        yield second


async def kill(victim: Replica) -> None:
    victim.process.signal(signal.SIGKILL)
    await victim.process.wait()


async def test_a_job_accepted_by_a_replica_is_answered_by_another_after_its_kill(
    running: Installation, victim: Replica
) -> None:
    body = chat("hold", user=SLOW)
    async with httpx.AsyncClient(timeout=60, trust_env=False) as http:
        accepted = await http.post(f"{victim.url}/jobs", content=submitted(body), headers=JSON)
        assert accepted.status_code == 202
        await kill(victim)
        location = f"{running.stack.ingress_url}{accepted.headers['location']}"
        found = await http.get(location, params={"wait": 40})
    job = found.json()
    assert (job["state"], job["attempts"], job["response"]["status"]) == ("completed", 1, 200)
    (call,) = running.calls_with(body)
    assert call.received.request_id == job["id"]


async def test_a_stream_broken_by_a_kill_goes_on_at_another_replica(
    running: Installation, victim: Replica
) -> None:
    body = chat("tell", stream=True, user=SLOW_STREAM)
    async with httpx.AsyncClient(timeout=60, trust_env=False) as http:
        async with http.stream(
            "POST",
            f"{victim.url}/chat/completions",
            content=body,
            headers=JSON | {"headrace-resume": "true"},
        ) as response:
            request_id = response.headers["x-request-id"]
            path = f"/jobs/{request_id}/events"
            seen = await _read(http, f"{victim.url}{path}", stop_after=10)
            await kill(victim)
        after = seen[-1][0]
        rest = await _read(http, f"{running.url}{path}", after=after)
        whole = await http.get(f"{running.url}/jobs/{request_id}")
    assert {cursor.partition(".")[0] for cursor, _ in seen + rest} == {"1"}, seen + rest
    texts = [text for _, text in seen + rest]
    assert texts[-1] == "[DONE]"
    told = whole.json()["response"]["body"]
    assert "".join(f"data: {text}\n\n" for text in texts) == told
    assert len(running.calls_with(body)) == 1


async def _read(
    http: httpx.AsyncClient, url: str, *, after: str = "", stop_after: int = 0
) -> list[tuple[str, str]]:
    """(id, data) of the events of an attempt, all or the first few."""
    found: list[tuple[str, str]] = []
    fields: dict[str, str] = {}
    headers = {"last-event-id": after} if after else {}

    async def known() -> bool:
        return (await http.get(url.removesuffix("/events"))).status_code == 200

    await eventually(known)
    async with http.stream("GET", url, headers=headers) as response:
        assert response.status_code == 200
        async for line in response.aiter_lines():
            name, _, value = line.partition(": ")
            if name:
                fields[name] = value
                continue
            if "data" in fields and "event" not in fields:
                found.append((fields.get("id", ""), fields["data"]))
                if len(found) == stop_after:
                    break
            fields = {}
    return found


async def test_a_cancelled_job_leaves_its_upstream(running: Installation) -> None:
    body = chat("cancel me", user="latency=600000")
    async with httpx.AsyncClient(timeout=60, trust_env=False) as http:
        accepted = await http.post(f"{running.url}/jobs", content=submitted(body), headers=JSON)
        location = f"{running.stack.ingress_url}{accepted.headers['location']}"
        await eventually(lambda: running.calls_with(body))
        cancelled = await http.delete(location)
        assert (cancelled.status_code, cancelled.json()["state"]) == (200, "cancelled")
        ended = await eventually(lambda: running.calls_with(body)[0].finished)
        assert ended.outcome == "client_disconnected"
        assert (await http.get(location)).json()["error"]["code"] == "cancelled"


async def test_a_job_may_be_sent_later_and_not_before(running: Installation) -> None:
    body = chat("later")
    async with httpx.AsyncClient(timeout=60, trust_env=False) as http:
        accepted = await http.post(
            f"{running.url}/jobs", content=submitted(body), headers=JSON | {"headrace-delay": "4"}
        )
        job = json.loads(accepted.content)
        location = f"{running.stack.ingress_url}{accepted.headers['location']}"
        found = await http.get(location, params={"wait": 30})
    assert found.json()["state"] == "completed"
    assert job["not_before_ms"] - job["accepted_ms"] == 4_000
    (call,) = running.calls_with(body)
    assert call.received.received_at >= job["not_before_ms"]
