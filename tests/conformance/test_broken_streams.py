"""A stream that breaks upstream ends, for the client, in an error after a true prefix: never cleanly."""

import json
from typing import Any

import openai
import pytest

from support.http_client import Client
from support.installation import Installation, chat
from support.official import Pair, collect

pytestmark = pytest.mark.asyncio(loop_scope="session")

MESSAGES: Any = [{"role": "user", "content": "What can break?"}]
FAULTS = (
    "cut",
    "fin",
    "no_done",
    "truncate",
    "malformed",
    "bad_utf8",
    "error_event",
    "stall_after",
)
PACED = "after=12;tokens=30;tps=60"


def events(body: bytes) -> list[bytes]:
    """The events of a stream, comments left out."""
    return [event for event in body.split(b"\n\n") if event.startswith(b"data:")]


@pytest.mark.parametrize("fault", FAULTS)
async def test_what_comes_is_a_true_prefix_and_an_error_event(
    running: Installation, fault: str
) -> None:
    body = chat("break", model="once", stream=True, user=f"fault={fault};{PACED}")
    async with Client(running.url) as client:
        answer = await client.ask(body)
    async with Client(running.upstream_url) as client:
        whole = await client.ask(body, x_mock_script="fault=none;tps=0")
    *prefix, last = events(answer.body)
    assert answer.status == 200
    assert 0 < len(prefix) <= 12
    assert prefix == events(whole.body)[: len(prefix)]
    assert json.loads(last.removeprefix(b"data: "))["error"]["message"]
    assert b"[DONE]" not in answer.body


@pytest.mark.parametrize("fault", FAULTS)
async def test_the_client_raises_after_the_prefix(pair: Pair, fault: str) -> None:
    stream = await pair.through.chat.completions.create(
        model="once", messages=MESSAGES, stream=True, user=f"fault={fault};{PACED}"
    )
    chunks: list[Any] = []
    with pytest.raises(openai.APIError) as raised:
        await collect(stream, chunks)
    assert not isinstance(raised.value, openai.APIConnectionError)
    assert 0 < len(chunks) <= 12


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_stream_that_breaks_in_its_first_piece_never_ends_cleanly(
    running: Installation, fault: str
) -> None:
    """Nothing may be out yet when the fault is seen: then it is an HTTP error."""
    body = chat("break at once", model="once", stream=True, user=f"fault={fault};after=2")
    async with Client(running.url) as client:
        answer = await client.ask(body)
    told = events(answer.body)[-1].removeprefix(b"data: ") if answer.status == 200 else answer.body
    assert answer.status in (200, 502)
    assert json.loads(told)["error"]["message"]
    assert b"[DONE]" not in answer.body


@pytest.mark.parametrize("fault", ["reset", "close", "cut", "fin", "no_done", "truncate"])
async def test_a_stream_without_a_first_event_is_an_http_error(pair: Pair, fault: str) -> None:
    with pytest.raises(openai.InternalServerError) as raised:
        await pair.through.chat.completions.create(
            model="once", messages=MESSAGES, stream=True, user=f"fault={fault};after=0"
        )
    assert raised.value.status_code == 502


async def test_a_stream_that_broke_before_its_first_event_is_repeated(
    running: Installation, pair: Pair
) -> None:
    stream = await pair.through.chat.completions.create(
        model="small", messages=MESSAGES, stream=True, user="fail=1xcut+1xno_done;after=0"
    )
    chunks = [chunk async for chunk in stream]
    assert chunks[-1].choices[0].finish_reason == "stop"
    request_id = stream.response.headers["x-request-id"]
    assert [call.received.attempt for call in running.calls(request_id)] == [1, 2, 3]


async def test_a_stream_is_not_repeated_once_its_first_event_is_out(
    running: Installation, pair: Pair
) -> None:
    stream = await pair.through.chat.completions.create(
        model="small", messages=MESSAGES, stream=True, user="fail=1xcut;after=3"
    )
    with pytest.raises(openai.APIError):
        _ = [chunk async for chunk in stream]
    assert len(running.calls(stream.response.headers["x-request-id"])) == 1
