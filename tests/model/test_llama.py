"""The official client through Headrace against a real model: what it speaks, never what it says."""

import asyncio
from typing import Any

import openai
import pytest

from headrace.cli.up.layout import LOCAL_MODEL
from support.http_client import Client
from support.installation import Installation, chat
from support.official import Pair, collect, sync_client

pytestmark = [pytest.mark.model, pytest.mark.asyncio(loop_scope="session")]

MESSAGES: Any = [{"role": "user", "content": "Count from one to five."}]
SHORT: dict[str, Any] = {"model": LOCAL_MODEL, "messages": MESSAGES, "max_tokens": 24}
WRONG: dict[str, dict[str, Any]] = {
    "messages that are no list": {"extra_body": {"messages": "hi"}},
    "a temperature in words": {"extra_body": {"temperature": "hot"}},
    "a prompt beyond the context": {"messages": [{"role": "user", "content": "word " * 20_000}]},
    "an unknown role": {"messages": [{"role": "wizard", "content": 5}]},
}


async def test_the_local_model_is_listed(pair: Pair) -> None:
    assert LOCAL_MODEL in {model.id async for model in pair.through.models.list()}


async def test_a_chat_is_answered(pair: Pair) -> None:
    answer = await pair.through.chat.completions.create(**SHORT)
    assert answer.object == "chat.completion"
    assert answer.choices[0].message.role == "assistant"
    assert answer.choices[0].finish_reason in ("stop", "length")
    assert answer.usage is not None
    assert 0 < answer.usage.completion_tokens <= 24


async def test_an_answer_has_the_fields_of_a_direct_one(pair: Pair) -> None:
    seen = []
    for client in pair:
        raw = await client.chat.completions.with_raw_response.create(**SHORT)
        seen.append((raw.status_code, raw.headers["content-type"], shape(raw.http_response.json())))
    assert seen[0] == seen[1]


def shape(value: Any) -> Any:
    """The members and types of a JSON value, without what it says."""
    if isinstance(value, dict):
        return {name: shape(member) for name, member in value.items()}
    if isinstance(value, list):
        return [shape(member) for member in value[:1]]
    return "number" if isinstance(value, int | float) else type(value).__name__


async def test_the_sync_client_is_answered(running: Installation) -> None:
    def ask() -> tuple[Any, list[Any]]:
        with sync_client(running.url) as client:
            whole = client.chat.completions.create(**SHORT)
            return whole, list(client.chat.completions.create(**SHORT, stream=True))

    whole, chunks = await asyncio.to_thread(ask)
    assert whole.usage.total_tokens > 0
    assert chunks[-1].choices[0].finish_reason in ("stop", "length")


async def test_a_stream_comes_in_chunks_and_ends_with_its_reason_and_usage(pair: Pair) -> None:
    stream = await pair.through.chat.completions.create(
        **SHORT, stream=True, stream_options={"include_usage": True}
    )
    chunks: list[Any] = []
    await collect(stream, chunks)
    reasons = [choice.finish_reason for chunk in chunks for choice in chunk.choices]
    assert len(chunks) > 3
    assert {chunk.object for chunk in chunks} == {"chat.completion.chunk"}
    assert len({chunk.id for chunk in chunks}) == 1
    assert [reason for reason in reasons if reason] in (["stop"], ["length"])
    assert chunks[-1].usage is not None


async def test_a_stream_has_the_events_of_a_direct_one(running: Installation, server: str) -> None:
    body = chat("Say yes.", model=LOCAL_MODEL, stream=True, max_tokens=8, temperature=0, seed=1)
    ends = []
    for url in (running.url, server):
        async with Client(url) as client:
            answer = await client.ask(body)
        assert answer.status == 200
        ends.append(answer.body.rpartition(b"data: ")[2])
    assert ends == [b"[DONE]\n\n"] * 2


async def test_a_completion_is_answered_plain_and_streamed(pair: Pair) -> None:
    asked: dict[str, Any] = {"model": LOCAL_MODEL, "prompt": "One, two,", "max_tokens": 8}
    whole = await pair.through.completions.create(**asked)
    chunks: list[Any] = []
    await collect(await pair.through.completions.create(**asked, stream=True), chunks)
    assert whole.object == "text_completion"
    assert whole.choices[0].finish_reason in ("stop", "length")
    assert len(chunks) > 1


async def test_embeddings_are_answered_or_refused_as_directly(pair: Pair) -> None:
    seen = []
    for client in pair:
        try:
            answer = await client.embeddings.create(model=LOCAL_MODEL, input=["a", "b"])
            seen.append((200, len(answer.data), len(answer.data[0].embedding)))
        except openai.APIStatusError as error:
            seen.append((error.status_code, error.type, error.message))
    assert seen[0] == seen[1]


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
async def test_an_error_is_the_servers_own(pair: Pair, wrong: str, stream: bool) -> None:
    seen = []
    for client in pair:
        with pytest.raises(openai.APIStatusError) as raised:
            await client.chat.completions.create(**(SHORT | WRONG[wrong]), stream=stream)
        error = raised.value
        seen.append((type(error), error.status_code, error.type, error.response.content))
    assert seen[0] == seen[1]


async def test_more_requests_than_seats_are_all_answered(pair: Pair) -> None:
    answers = await asyncio.gather(
        *(pair.through.chat.completions.create(**SHORT, seed=n) for n in range(16))
    )
    assert all(answer.usage and answer.usage.completion_tokens for answer in answers)


async def test_a_client_that_leaves_its_stream_frees_the_model(
    pair: Pair, running: Installation
) -> None:
    body = chat("Tell a long story.", model=LOCAL_MODEL, stream=True, max_tokens=4000)
    async with Client(running.url) as client:
        for _ in range(8):  # as many as there are seats, twice
            async with client.open(body) as response:
                await response.content.readline()
                response.close()
    answer = await pair.through.chat.completions.create(**SHORT, timeout=30)
    assert answer.usage is not None
