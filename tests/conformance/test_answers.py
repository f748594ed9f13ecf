"""What the official client gets through Headrace is what the upstream said, byte for byte."""

import asyncio
from collections.abc import Callable
from typing import Any

import openai
import pytest

from support.installation import Installation
from support.official import Pair, sync_client

pytestmark = pytest.mark.asyncio(loop_scope="session")

MESSAGES: Any = [
    {"role": "user", "content": "Why does a mill need a headrace? Ünï\u2028 \U0001f30a"}
]
CALLS: dict[str, tuple[Callable[[Any], Any], dict[str, Any]]] = {
    "chat": (lambda client: client.chat.completions, {"messages": MESSAGES}),
    "chat with two choices": (
        lambda client: client.chat.completions,
        {"messages": MESSAGES, "n": 2, "max_tokens": 5, "temperature": 0.5},
    ),
    "long chat": (
        lambda client: client.chat.completions,
        {"messages": MESSAGES, "user": "tokens=800"},
    ),
    "completion": (lambda client: client.completions, {"prompt": ["a", "b"]}),
    "embeddings in base64": (
        lambda client: client.embeddings,
        {"input": ["a", "b"], "dimensions": 8},
    ),
    "embeddings as numbers": (
        lambda client: client.embeddings,
        {"input": "a", "encoding_format": "float"},
    ),
}
STREAMS: dict[str, tuple[Callable[[Any], Any], dict[str, Any]]] = {
    "chat": (lambda client: client.chat.completions, {"messages": MESSAGES}),
    "chat with usage": (
        lambda client: client.chat.completions,
        {"messages": MESSAGES, "stream_options": {"include_usage": True}},
    ),
    "chat at the pace of a model": (
        lambda client: client.chat.completions,
        {"messages": MESSAGES, "n": 2, "user": "tokens=60;tps=120;ttft=50"},
    ),
    "long chat": (
        lambda client: client.chat.completions,
        {"messages": MESSAGES, "user": "tokens=800"},
    ),
    "completion": (lambda client: client.completions, {"prompt": "a"}),
    "line of 400 kB": (
        lambda client: client.chat.completions,
        {"messages": MESSAGES, "user": "fault=huge_line;huge_bytes=400000"},
    ),
}


@pytest.mark.parametrize("name", CALLS)
async def test_an_answer_equals_the_direct_one(pair: Pair, name: str) -> None:
    endpoint, arguments = CALLS[name]
    through, direct = [
        await endpoint(client).with_raw_response.create(model="small", **arguments)
        for client in pair
    ]
    assert through.content == direct.content
    assert through.status_code == direct.status_code == 200
    assert through.headers["content-type"] == direct.headers["content-type"]
    assert through.parse() == direct.parse()


@pytest.mark.parametrize("name", CALLS)
async def test_the_sync_client_gets_the_same_answer(running: Installation, name: str) -> None:
    endpoint, arguments = CALLS[name]

    def ask(base_url: str) -> bytes:
        with sync_client(base_url) as client:
            raw = endpoint(client).with_raw_response.create(model="small", **arguments)
            raw.parse()
            return bytes(raw.content)

    through, direct = [
        await asyncio.to_thread(ask, url) for url in (running.url, running.upstream_url)
    ]
    assert through == direct


@pytest.mark.parametrize("name", STREAMS)
async def test_a_stream_has_the_upstreams_data_lines(pair: Pair, name: str) -> None:
    endpoint, arguments = STREAMS[name]
    through, direct = [await data_lines(endpoint(client), arguments) for client in pair]
    assert through == direct
    assert through[-1] == b"data: [DONE]"


async def data_lines(endpoint: Any, arguments: dict[str, Any]) -> list[bytes]:
    """The `data:` lines of the body as they came over the wire."""
    create = endpoint.with_streaming_response.create
    async with create(model="small", stream=True, **arguments) as response:
        body = b"".join([part async for part in response.iter_bytes()])
    return [line for line in body.split(b"\n") if line.startswith(b"data:")]


@pytest.mark.parametrize("name", STREAMS)
async def test_the_async_client_reads_the_same_chunks(pair: Pair, name: str) -> None:
    endpoint, arguments = STREAMS[name]
    seen = []
    for client in pair:
        stream = await endpoint(client).create(model="small", stream=True, **arguments)
        seen.append([chunk async for chunk in stream])
    assert seen[0] == seen[1]
    assert len(seen[0]) > 10


@pytest.mark.parametrize("name", STREAMS)
async def test_the_sync_client_reads_the_same_chunks(running: Installation, name: str) -> None:
    endpoint, arguments = STREAMS[name]

    def ask(base_url: str) -> list[Any]:
        with sync_client(base_url) as client:
            return list(endpoint(client).create(model="small", stream=True, **arguments))

    through, direct = [
        await asyncio.to_thread(ask, url) for url in (running.url, running.upstream_url)
    ]
    assert through == direct


async def test_the_configured_models_are_listed_and_found(pair: Pair) -> None:
    names = {model.id async for model in pair.through.models.list()}
    assert names == {"small", "once"}
    assert (await pair.through.models.retrieve("once")).id == "once"


async def test_a_model_that_nobody_serves_is_not_found(pair: Pair) -> None:
    with pytest.raises(openai.NotFoundError) as raised:
        await pair.through.chat.completions.create(model="nobody-has-it", messages=MESSAGES)
    assert raised.value.code == "model_not_found"
    with pytest.raises(openai.NotFoundError):
        await pair.through.models.retrieve("nobody-has-it")


async def test_the_client_learns_the_request_id(pair: Pair, running: Installation) -> None:
    answer = await pair.through.chat.completions.create(model="small", messages=MESSAGES)
    assert answer._request_id
    (call,) = running.calls(answer._request_id)
    assert call.received.idempotency_key == answer._request_id
