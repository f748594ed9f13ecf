"""From HTTP to Kafka and back: what the client gets is what was answered."""

import asyncio
import json
import time
import uuid
from typing import Any

import openai

from headrace.schemas.names import Outcome
from headrace.schemas.records import RequestRecord
from headrace.schemas.replies import Reply
from support.answering import Answers, answered, chunked
from support.asking import BODY, CHUNKS, DONE, raw_request
from support.eventually import eventually
from support.serving import MODEL, url

COMPLETION = {
    "id": "c", "object": "chat.completion", "created": 1, "model": MODEL,
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "hello"}}],
}  # fmt: skip


async def test_an_answer_comes_back_byte_for_byte(stand_up: Any) -> None:
    odd = b'{ "choices" :[],\n "x":"\xc3\xa9" }'

    def answer(request: RequestRecord) -> list[Reply]:
        upstream_headers = b'{"openai-processing-ms":"12","x-ratelimit-limit-requests":"7"}'
        return [
            answered(
                request, odd, status=200, content_type=b"application/json; charset=utf-8", attempts=2,
                queue_ms=34, upstream_headers=upstream_headers,
            )
        ]  # fmt: skip

    stand = await stand_up(answer)
    response = await stand.http.post("/v1/chat/completions", json=BODY)
    assert response.status_code == 200
    assert response.content == odd
    assert response.headers["content-type"] == "application/json; charset=utf-8"
    assert response.headers["openai-processing-ms"] == "12"
    assert response.headers["headrace-attempts"] == "2"
    assert response.headers["headrace-queue-ms"] == "34"
    assert response.headers["headrace-upstream"] == "east"
    assert response.headers["x-request-id"] == stand.dispatcher.requests[0].id


async def test_a_request_reaches_its_lane_whole(stand_up: Any, echo: Answers) -> None:
    stand = await stand_up(echo)
    body = b'{"model":"small",  "messages":[]}'
    headers = {
        "content-type": "application/json",
        "headrace-lane": "interactive",
        "headrace-timeout": "50",
    }
    asked_ms = time.time() * 1000
    response = await stand.http.post("/v1/completions", content=body, headers=headers)
    record = stand.dispatcher.requests[0]
    topic, _, key = stand.dispatcher.places[0]
    assert response.content == body == record.body
    assert (record.lane, record.endpoint, record.tenant) == (
        "interactive",
        "completions",
        "default",
    )
    assert 49_000 < record.deadline_ms - asked_ms < 300_000  # the lane's own is 20 s
    assert topic.endswith("requests.interactive")
    assert key is not None
    assert key.startswith(b"default#")
    assert uuid.UUID(record.id).version == 7


async def test_a_dispatchers_error_says_whether_to_try_again(stand_up: Any) -> None:
    def answer(request: RequestRecord) -> list[Reply]:
        return [
            answered(
                request,
                b"{}",
                status=503,
                code="kafka_unavailable",
                retry_after_ms=1500,
                outcome=Outcome.FAILED,
            )
        ]

    stand = await stand_up(answer)
    response = await stand.http.post("/v1/chat/completions", json=BODY)
    assert response.headers["x-should-retry"] == "true"
    assert response.headers["retry-after"] == "2"
    assert response.headers["retry-after-ms"] == "1500"


async def test_a_long_answer_and_a_long_request_come_through(stand_up: Any) -> None:
    part = b"y" * 400_000
    count = 12

    def answer(request: RequestRecord) -> list[Reply]:
        return [answered(request, part, part=(i, count)) for i in range(1, count + 1)]

    stand = await stand_up(answer)
    body = {"model": MODEL, "messages": "x" * 3_900_000}
    for _ in range(
        2
    ):  # the first goes before the compressing producer is there, the second through it
        response = await stand.http.post("/v1/chat/completions", json=body)
        assert response.content == part * count
    assert [json.loads(request.body) for request in stand.dispatcher.requests] == [body, body]


async def test_the_openai_client_reads_answers_streams_and_models(stand_up: Any) -> None:
    def answer(request: RequestRecord) -> list[Reply]:
        if request.stream:
            return [*chunked(request, *CHUNKS), answered(request, DONE, seq=4)]
        return [answered(request, json.dumps(COMPLETION).encode())]

    stand = await stand_up(answer)
    async with openai.AsyncOpenAI(
        base_url=url(stand.ingress, "/v1"), api_key="none", max_retries=0
    ) as client:
        whole = await client.chat.completions.create(
            model=MODEL, messages=[{"role": "user", "content": "hi"}]
        )
        stream = await client.chat.completions.create(
            model=MODEL, messages=[{"role": "user", "content": "hi"}], stream=True
        )
        words = [chunk.choices[0].delta.content async for chunk in stream]
        models = [model.id async for model in client.models.list()]
    assert whole.choices[0].message.content == "hello"
    assert words == ["one ", "two ", "three"]
    assert models == [MODEL]


async def test_a_request_that_waited_too_long_gets_a_504_and_is_cancelled(stand_up: Any) -> None:
    stand = await stand_up(lambda _: [], ingress={"max_sync_wait_s": 0.3})
    response = await stand.http.post("/v1/chat/completions", json=BODY)
    assert (response.status_code, response.json()["error"]["code"]) == (504, "wait_too_long")
    assert response.headers["x-should-retry"] == "false"
    await eventually(lambda: stand.dispatcher.cancelled and stand.dispatcher.requests)
    assert stand.dispatcher.cancelled == [stand.dispatcher.requests[0].id]


async def test_beyond_its_bound_of_waiters_an_ingress_says_429(stand_up: Any) -> None:
    stand = await stand_up(lambda _: [], ingress={"max_waiters": 1})
    first = asyncio.create_task(stand.http.post("/v1/chat/completions", json=BODY))
    await eventually(lambda: stand.dispatcher.requests)
    response = await stand.http.post("/v1/chat/completions", json=BODY)
    assert (response.status_code, response.json()["error"]["code"]) == (429, "queue_full")
    assert 0 < int(response.headers["retry-after"]) <= 120
    first.cancel()


async def test_an_answered_request_is_not_cancelled(stand_up: Any, echo: Answers) -> None:
    stand = await stand_up(echo)
    await stand.http.post("/v1/chat/completions", json=BODY)
    stand.dispatcher.answer = lambda _: []
    asking = asyncio.create_task(stand.http.post("/v1/chat/completions", json=BODY))
    await eventually(lambda: len(stand.dispatcher.requests) == 2)
    asking.cancel()
    await eventually(lambda: stand.dispatcher.cancelled)
    assert stand.dispatcher.cancelled == [stand.dispatcher.requests[1].id]


async def test_clients_that_leave_at_once_leave_nothing_behind(stand_up: Any) -> None:
    stand = await stand_up(lambda _: [])
    for _ in range(20):
        _, writer = await asyncio.open_connection("127.0.0.1", stand.ingress.port)
        writer.write(raw_request(json.dumps(BODY).encode()))
        writer.close()

    def nobody_waits() -> bool:
        produced = {request.id for request in stand.dispatcher.requests}
        return len(stand.ingress._board) == 0 and produced == set(stand.dispatcher.cancelled)

    await eventually(nobody_waits)


async def test_pipelined_requests_are_answered_in_their_order(stand_up: Any, echo: Answers) -> None:
    stand = await stand_up(echo)
    bodies = [json.dumps(BODY | {"n": n}).encode() for n in range(1, 4)]
    reader, writer = await asyncio.open_connection("127.0.0.1", stand.ingress.port)
    writer.write(b"".join(map(raw_request, bodies)))
    for body in bodies:
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200")
        assert await reader.readexactly(len(body)) == body
    writer.close()


async def test_a_client_that_wants_its_connection_closed_gets_it_closed(
    stand_up: Any, echo: Answers
) -> None:
    stand = await stand_up(echo)
    response = await stand.http.post(
        "/v1/chat/completions", json=BODY, headers={"connection": "close"}
    )
    assert response.headers["connection"] == "close"
    assert response.json() == BODY


async def test_an_upstreams_error_keeps_its_status_and_body(stand_up: Any) -> None:
    stand = await stand_up(
        lambda request: [
            answered(request, b'{"error":{"code":"teapot"}}', status=418, outcome=Outcome.FAILED)
        ]
    )
    response = await stand.http.post("/v1/chat/completions", json=BODY)
    assert (response.status_code, response.json()["error"]["code"]) == (418, "teapot")
    assert "x-should-retry" not in response.headers
