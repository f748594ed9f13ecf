"""The official client's own repeats: it pays for one call, whichever replica it comes back to."""

import asyncio
import uuid
from collections.abc import AsyncIterator

import httpx
import openai
import pytest
import pytest_asyncio

from headrace.cli.localkafka import LocalKafka
from support.eventually import eventually
from support.installation import Installation, installation
from support.replicas import Replica, replica

pytestmark = pytest.mark.asyncio(loop_scope="session")

CALL_MS = 6_000
PATIENCE_S = 3.0
"""The first request is given up after it; the second, some 0.5 s later, waits for the answer."""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def running(
    kafka: LocalKafka, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Installation]:
    folder = tmp_path_factory.mktemp("comebacks")
    async with installation(kafka.bootstrap, folder, models={"small": {}}) as one:
        yield one


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def second(running: Installation) -> AsyncIterator[Replica]:
    async with replica(running) as one:
        yield one


class Elsewhere(httpx.AsyncHTTPTransport):
    """Sends what is repeated to another address, as a load balancer may."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self._url = httpx.URL(url)
        self.counts: list[str] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.counts.append(request.headers["x-stainless-retry-count"])
        patience = httpx.Timeout(PATIENCE_S if self.counts[-1] == "0" else 60.0)
        request.extensions["timeout"] = patience.as_dict()
        if self.counts[-1] != "0":
            request.url = request.url.copy_with(port=self._url.port)
        return await super().handle_async_request(request)


async def ask(
    url: str, text: str, *, repeats_at: str, stream: bool = False
) -> tuple[str, list[str]]:
    """The text of the answer, and the retry counts that went out."""
    transport = Elsewhere(repeats_at)
    http = httpx.AsyncClient(transport=transport)
    async with openai.AsyncOpenAI(
        base_url=url, api_key="any", max_retries=2, http_client=http
    ) as client:
        return await (_streamed if stream else _whole)(client, text), transport.counts


async def _whole(client: openai.AsyncOpenAI, text: str) -> str:
    answer = await client.chat.completions.create(
        model="small", messages=[{"role": "user", "content": text}], user=f"latency={CALL_MS}"
    )
    return answer.choices[0].message.content or ""


async def _streamed(client: openai.AsyncOpenAI, text: str) -> str:
    parts = []
    async for chunk in await client.chat.completions.create(
        model="small",
        messages=[{"role": "user", "content": text}],
        user=f"latency={CALL_MS};tokens=8",
        stream=True,
    ):
        parts += [choice.delta.content or "" for choice in chunk.choices]
    return "".join(parts)


def calls(running: Installation) -> int:
    return len(running.calls())


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize("where", ["here", "elsewhere"])
async def test_a_repeat_takes_up_the_call_that_runs(
    running: Installation, second: Replica, where: str, stream: bool
) -> None:
    before = calls(running)
    repeats_at = running.url if where == "here" else second.url
    text, counts = await ask(running.url, f"{uuid.uuid4()}", repeats_at=repeats_at, stream=stream)
    assert text
    assert counts == ["0", "1"]
    assert calls(running) - before == 1


async def test_two_equal_requests_that_broke_are_taken_up_once_each(
    running: Installation, second: Replica
) -> None:
    before, text = calls(running), f"{uuid.uuid4()}"
    asked = [ask(url, text, repeats_at=second.url) for url in (running.url, second.url)]
    answers = await asyncio.gather(*asked)
    assert all(answer for answer, _ in answers)
    assert calls(running) - before == 2


async def test_a_client_that_does_not_come_back_has_its_call_cancelled(
    running: Installation,
) -> None:
    before = calls(running)
    async with openai.AsyncOpenAI(
        base_url=running.url, api_key="any", max_retries=0, timeout=2.0
    ) as client:
        with pytest.raises(openai.APITimeoutError):
            await client.chat.completions.create(
                model="small",
                messages=[{"role": "user", "content": f"{uuid.uuid4()}"}],
                user="latency=600000",
            )
    await eventually(lambda: calls(running) > before)
    ended = await eventually(lambda: running.calls()[before].finished, within_s=50)
    assert ended.outcome == "client_disconnected"
