"""Streams: as they come, kept alive, broken; and clients that leave or do not read."""

import asyncio
import json
from typing import Any

import openai
import pytest

from headrace.schemas.names import Outcome
from headrace.schemas.records import RequestRecord
from headrace.schemas.replies import Reply
from support.answering import answered, chunked
from support.asking import BODY, CHUNKS, DONE, raw_request
from support.eventually import eventually
from support.serving import MODEL, url

COMPLETION = {
    "id": "c", "object": "chat.completion", "created": 1, "model": MODEL,
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "hello"}}],
}  # fmt: skip


async def test_a_stream_comes_as_it_was_sent(stand_up: Any) -> None:
    def answer(request: RequestRecord) -> list[Reply]:
        return [
            *chunked(request, *CHUNKS),
            answered(request, DONE, seq=4, content_type=b"text/event-stream"),
        ]

    stand = await stand_up(answer)
    response = await stand.http.post("/v1/chat/completions", json=BODY | {"stream": True})
    assert response.headers["content-type"].startswith("text/event-stream")
    assert response.content == b"".join(CHUNKS) + DONE
    told = [response.headers[f"headrace-{name}"] for name in ("attempts", "queue-ms", "upstream")]
    assert told == ["1", "0", "east"]


async def test_a_stream_that_fails_before_its_first_byte_is_an_http_error(stand_up: Any) -> None:
    stand = await stand_up(
        lambda request: [
            answered(
                request,
                b'{"error":{}}',
                status=502,
                code="attempts_exhausted",
                outcome=Outcome.FAILED,
            )
        ]
    )
    response = await stand.http.post("/v1/chat/completions", json=BODY | {"stream": True})
    assert response.status_code == 502
    assert response.headers["x-should-retry"] == "false"


async def test_a_stream_that_breaks_ends_in_an_error_event(stand_up: Any) -> None:
    error = b'{"error":{"message":"cut","code":"upstream_stream_broken"}}'

    def answer(request: RequestRecord) -> list[Reply]:
        return [
            *chunked(request, *CHUNKS[:1]),
            answered(request, error, seq=2, status=502, outcome=Outcome.FAILED),
        ]

    stand = await stand_up(answer)
    response = await stand.http.post("/v1/chat/completions", json=BODY | {"stream": True})
    assert response.status_code == 200
    assert response.content == CHUNKS[0] + b"data: " + error + b"\n\n"
    async with openai.AsyncOpenAI(
        base_url=url(stand.ingress, "/v1"), api_key="none", max_retries=0
    ) as client:
        stream = await client.chat.completions.create(model=MODEL, messages=[], stream=True)
        with pytest.raises(openai.APIError, match="cut"):
            _ = [chunk async for chunk in stream]


async def test_a_waiting_stream_is_kept_alive_with_comments(stand_up: Any) -> None:
    stand = await stand_up(lambda _: [], ingress={"keepalive_s": 0.3})
    async with stand.http.stream(
        "POST", "/v1/chat/completions", json=BODY | {"stream": True}
    ) as response:
        lines = response.aiter_lines()
        assert response.status_code == 200
        assert (await anext(lines)).startswith(": queued wait_s=")
        (request,) = await eventually(lambda: stand.dispatcher.requests)
        await stand.dispatcher.say(
            request, [*chunked(request, CHUNKS[0]), answered(request, DONE, seq=2)]
        )
        rest = [line async for line in lines if line and not line.startswith(":")]
    assert rest == [CHUNKS[0].decode().strip(), "data: [DONE]"]


async def test_an_error_after_the_first_comment_is_one_for_the_official_client(
    stand_up: Any,
) -> None:
    stand = await stand_up(lambda _: [], ingress={"keepalive_s": 0.2})
    bodies = {
        "too many tokens": json.dumps({"error": {"message": "too many tokens"}}, indent=2).encode(),
        "status 400: <html> Bad": b"<html>\nBad",
        "status 400: nothing": b"",
    }
    async with openai.AsyncOpenAI(
        base_url=url(stand.ingress, "/v1"), api_key="none", max_retries=0
    ) as client:
        for number, (message, body) in enumerate(bodies.items()):
            # The response of a stream begins with its first comment.
            stream = await client.chat.completions.create(model=MODEL, messages=[], stream=True)
            request = (await eventually(lambda n=number: stand.dispatcher.requests[n:]))[0]
            final = answered(request, body, status=400, outcome=Outcome.FAILED)
            await stand.dispatcher.say(request, [final])
            with pytest.raises(openai.APIError, match=message):
                _ = [chunk async for chunk in stream]


@pytest.mark.parametrize("stream", [False, True])
async def test_a_client_that_leaves_while_it_waits_cancels_its_request(
    stand_up: Any, stream: bool
) -> None:
    stand = await stand_up(lambda _: [])
    asking = asyncio.create_task(
        stand.http.post("/v1/chat/completions", json=BODY | {"stream": stream})
    )
    await eventually(lambda: stand.dispatcher.requests)
    asking.cancel()
    await eventually(lambda: stand.dispatcher.cancelled)
    assert stand.dispatcher.cancelled == [stand.dispatcher.requests[0].id]


async def test_a_client_that_leaves_its_stream_cancels_the_request(stand_up: Any) -> None:
    stand = await stand_up(lambda request: chunked(request, CHUNKS[0]))
    async with stand.http.stream(
        "POST", "/v1/chat/completions", json=BODY | {"stream": True}
    ) as response:
        assert (await anext(response.aiter_raw())).startswith(b"data:")
    await eventually(lambda: stand.dispatcher.cancelled)


async def test_a_client_that_does_not_read_its_stream_is_cut_and_its_request_cancelled(
    stand_up: Any,
) -> None:
    flood = [b"data: " + b"x" * 200_000 + b"\n\n"] * 60
    stand = await stand_up(
        lambda request: chunked(request, *flood), ingress={"max_stream_backlog_bytes": 1_000_000}
    )
    reader, writer = await asyncio.open_connection("127.0.0.1", stand.ingress.port, limit=1)
    body = json.dumps(BODY | {"stream": True}).encode()
    writer.write(raw_request(body))
    await eventually(lambda: stand.dispatcher.cancelled)
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await reader.readexactly(sum(map(len, flood)))
    writer.close()


async def test_a_stream_that_waited_too_long_gets_an_error_event(stand_up: Any) -> None:
    stand = await stand_up(lambda _: [], ingress={"keepalive_s": 0.2, "max_sync_wait_s": 3})
    response = await stand.http.post("/v1/chat/completions", json=BODY | {"stream": True})
    assert response.status_code == 200
    last = [line for line in response.text.splitlines() if line][-1]
    assert json.loads(last.removeprefix("data: "))["error"]["code"] == "wait_too_long"
