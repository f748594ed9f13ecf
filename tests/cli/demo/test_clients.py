"""What the openai clients write down of an answer is what the mock is known to give."""

import asyncio
import hashlib
import itertools
from collections.abc import AsyncIterator

import orjson
import pytest

from headrace.cli.demo.answers import plain_digest, stream_digest, upstream_answer
from headrace.cli.demo.clients import Clients
from headrace.cli.demo.evidence import Asked
from headrace.cli.demo.ledger import Ledger
from headrace.cli.demo.prompts import Prompt
from headrace.cli.mock import MockUpstream
from headrace.cli.mock.script import Script

MESSAGES = [{"role": "user", "content": "naïve?"}]
BODIES: dict[str, dict[str, object]] = {
    "chat/completions": {"model": "mock", "messages": MESSAGES},
    "completions": {"model": "mock", "prompt": "Once"},
    "embeddings": {"model": "mock", "input": ["a", "b"]},
}


@pytest.fixture
async def upstream() -> AsyncIterator[MockUpstream]:
    async with MockUpstream() as running:
        yield running


async def test_nothing_of_the_demo_goes_through_a_proxy() -> None:
    clients = Clients("http://127.0.0.1:1/v1", Ledger(lambda: 0))
    try:
        assert [one._client.trust_env for one in (clients._sync, clients._async)] == [False, False]
    finally:
        await clients.aclose()


def prompt(endpoint: str, client: str, *, stream: bool = False, model: str = "mock") -> Prompt:
    body = {**BODIES[endpoint], "model": model}
    return Prompt(endpoint=endpoint, lane="batch", stream=stream, client=client, body=body)  # type: ignore[arg-type]  # literals come from the parameters


async def asked(base_url: str, given: Prompt) -> Asked:
    """Ask in the way that the prompt says; the ledger's line."""
    clock = itertools.count(1)
    ledger = Ledger(lambda: next(clock))
    clients = Clients(base_url, ledger)
    if given.client == "sync":
        await asyncio.to_thread(clients.ask, 1, given)
    else:
        await clients.ask_async(1, given)
    await clients.aclose()
    (line,) = ledger.history
    return line


@pytest.mark.parametrize("client", ["sync", "async"])
@pytest.mark.parametrize(
    ("endpoint", "stream"),
    [
        ("chat/completions", False),
        ("chat/completions", True),
        ("completions", False),
        ("completions", True),
        ("embeddings", False),
    ],
)
async def test_an_answer_is_written_down_as_the_upstream_gave_it(
    upstream: MockUpstream, endpoint: str, client: str, stream: bool
) -> None:
    line = await asked(upstream.base_url, prompt(endpoint, client, stream=stream))
    (call,) = upstream.log.calls
    assert (line.status, line.error) == (200, "")
    assert line.body_sha256 == call.received.body_sha256
    sent = sent_body(endpoint, stream, line.body_sha256)
    digest = stream_digest if stream else plain_digest
    assert line.answer_sha256 == digest(upstream_answer(endpoint, sent, Script()))


def sent_body(endpoint: str, stream: bool, sha256: str) -> bytes:
    """The body that has this digest: the client chooses the order of its fields."""
    added: dict[str, object] = {"stream": True} if stream else {}
    if endpoint == "embeddings":
        added = {"encoding_format": "base64"}
    for fields in itertools.permutations({**BODIES[endpoint], **added}.items()):
        body = orjson.dumps(dict(fields))
        if hashlib.sha256(body).hexdigest() == sha256:
            return body
    raise AssertionError("no order of the fields has this digest")


@pytest.mark.parametrize("client", ["sync", "async"])
async def test_an_error_is_written_down_with_its_status_and_body(
    upstream: MockUpstream, client: str
) -> None:
    line = await asked(upstream.base_url, prompt("completions", client, model="mock-poison"))
    assert line.status == 500
    assert line.error.startswith("InternalServerError")
    assert line.body_sha256
    assert line.answer_sha256


@pytest.mark.parametrize("client", ["sync", "async"])
async def test_a_stream_that_breaks_is_no_answer(upstream: MockUpstream, client: str) -> None:
    broken = prompt("chat/completions", client, stream=True, model="mock-cut")
    line = await asked(upstream.base_url, broken)
    assert line.status == 200
    assert line.error


@pytest.mark.parametrize("client", ["sync", "async"])
async def test_an_error_event_in_a_stream_is_an_error(upstream: MockUpstream, client: str) -> None:
    broken = prompt("chat/completions", client, stream=True, model="mock-error-event")
    line = await asked(upstream.base_url, broken)
    assert line.error.startswith("APIError")


@pytest.mark.parametrize("client", ["sync", "async"])
async def test_a_server_that_is_away_is_no_answer(client: str) -> None:
    line = await asked("http://127.0.0.1:1/v1", prompt("completions", client))
    assert line.status == 0
    assert line.ended_at > 0
    assert line.error.startswith("APIConnectionError")
    assert line.body_sha256 != hashlib.sha256(b"").hexdigest()


@pytest.mark.parametrize("client", ["sync", "async"])
async def test_a_failed_request_is_not_repeated_by_the_client(
    upstream: MockUpstream, client: str
) -> None:
    await asked(upstream.base_url, prompt("completions", client, model="mock-503"))
    assert len(upstream.log.calls) == 1
