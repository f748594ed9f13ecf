"""Events of a request, followed at any replica from any place; requests that outlive their connection."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from headrace.schemas.names import Kind, Outcome
from headrace.schemas.records import RequestRecord
from headrace.schemas.replies import Reply
from headrace.schemas.status import Running
from support.answering import answered, chunked
from support.asking import BODY, CHUNKS, DONE
from support.eventually import eventually
from support.jobs import Pair, PairUp, submitted

JSON = {"content-type": "application/json"}
PATH = "/v1/chat/completions"
STREAM = json.dumps(BODY | {"stream": True}).encode()
PLAIN = json.dumps(BODY).encode()
RESUME = JSON | {"headrace-resume": "true"}
WHOLE = b"".join(CHUNKS) + DONE


def silent(_: RequestRecord) -> list[Reply]:
    return []


def the_end(request: RequestRecord, **fields: Any) -> list[Reply]:
    told = {"seq": 4, "whole": True, "content_type": b"text/event-stream"} | fields
    return [answered(request, WHOLE, **told)]


async def submit(pair: Pair, body: bytes) -> tuple[str, RequestRecord]:
    """The location of a job, and its record as a dispatcher reads it."""
    known = len(pair.dispatcher.requests)
    accepted = await pair.first.post("/v1/jobs", content=submitted(body), headers=JSON)
    await eventually(lambda: len(pair.dispatcher.requests) > known)
    return accepted.headers["location"], pair.dispatcher.requests[-1]


@asynccontextmanager
async def following(
    http: httpx.AsyncClient, location: str, after: str = ""
) -> AsyncIterator[AsyncIterator[tuple[str, str]]]:
    """The (id, data) of each event that is no state, as they come."""
    headers = {"last-event-id": after} if after else {}
    async with http.stream("GET", f"{location}/events", headers=headers) as response:
        assert response.status_code == 200
        yield _events(response)


async def _events(response: httpx.Response) -> AsyncIterator[tuple[str, str]]:
    fields: dict[str, str] = {}
    async for line in response.aiter_lines():
        name, _, value = line.partition(": ")
        if name:
            fields[name] = value
        elif fields:
            if "data" in fields and "event" not in fields:
                yield fields.get("id", ""), fields["data"]
            fields = {}


async def read_all(
    http: httpx.AsyncClient, location: str, after: str = ""
) -> list[tuple[str, str]]:
    async with following(http, location, after) as events:
        return [event async for event in events]


def data(*events: bytes) -> list[str]:
    return [event.decode().strip().removeprefix("data: ") for event in events]


async def test_events_come_with_ids_as_the_upstream_sends_them(pair_up: PairUp) -> None:
    pair = await pair_up(silent)
    location, request = await submit(pair, STREAM)
    async with following(pair.second, location) as events:
        seen = []
        for number, reply in enumerate(chunked(request, *CHUNKS), 1):
            await pair.dispatcher.say(request, [reply])
            seen.append(await anext(events))
            assert seen[-1] == (f"1.{number}", data(CHUNKS[number - 1])[0])
        await pair.dispatcher.say(request, the_end(request))
        assert [event async for event in events] == [("1.4", "[DONE]")]


async def test_a_stream_is_taken_up_at_another_replica_without_gap_or_repeat(
    pair_up: PairUp,
) -> None:
    pair = await pair_up(silent)
    location, request = await submit(pair, STREAM)
    chunks = chunked(request, *CHUNKS)
    async with following(pair.first, location) as events:
        await pair.dispatcher.say(request, chunks[:2])
        seen = [await anext(events), await anext(events)]
    async with following(pair.second, location, seen[-1][0]) as events:
        await pair.dispatcher.say(request, chunks[2:])
        seen.append(await anext(events))
        await pair.dispatcher.say(request, the_end(request))
        seen += [event async for event in events]
    assert [text for _, text in seen] == data(*CHUNKS, DONE)
    for at, (cursor, _) in enumerate(seen):
        assert await read_all(pair.second, location, cursor) == seen[at + 1 :]
    assert [text for _, text in await read_all(pair.first, location)] == data(*CHUNKS, DONE)


async def test_many_resume_at_once_through_one_reader(pair_up: PairUp) -> None:
    pair = await pair_up(silent)
    location, request = await submit(pair, STREAM)
    await pair.dispatcher.say(request, chunked(request, *CHUNKS))
    tasks = [
        asyncio.create_task(read_all(pair.second, location, cursor))
        for cursor in ("1.1", "1.2", "1.3") * 10
    ]
    await pair.dispatcher.say(request, the_end(request))
    left = {"1.1": [*CHUNKS[1:], DONE], "1.2": [CHUNKS[2], DONE], "1.3": [DONE]}
    for cursor, task in zip(("1.1", "1.2", "1.3") * 10, tasks, strict=True):
        assert [text for _, text in await task] == data(*left[cursor])


async def test_another_attempt_breaks_a_stream_that_has_begun_and_serves_a_new_reader(
    pair_up: PairUp,
) -> None:
    pair = await pair_up(silent)
    location, request = await submit(pair, STREAM)
    await pair.dispatcher.say(request, chunked(request, CHUNKS[0]))
    async with following(pair.second, location) as events:
        await anext(events)
        await pair.dispatcher.state(
            Running(tenant=request.tenant, id=request.id, attempt=2, deployment="east", source="other")
        )  # fmt: skip
        broken = [event async for event in events]
    assert [json.loads(text)["error"]["code"] for _, text in broken] == ["upstream_stream_broken"]
    await pair.dispatcher.say(request, the_end(request, attempt=2, seq=1))
    assert [text for _, text in await read_all(pair.second, location)] == data(*CHUNKS, DONE)


async def test_a_request_that_fails_ends_in_an_error_event(pair_up: PairUp) -> None:
    pair = await pair_up(silent)
    location, request = await submit(pair, STREAM)
    await pair.dispatcher.say(request, chunked(request, CHUNKS[0]))
    body = b'{"error":{"message":"cut","code":"upstream_stream_broken"}}'
    end = answered(
        request, body, seq=2, status=502, outcome=Outcome.FAILED, code="upstream_stream_broken"
    )
    await pair.dispatcher.say(request, [end])
    events = await read_all(pair.second, location)
    assert [text for _, text in events] == [*data(CHUNKS[0]), body.decode()]


async def test_a_cancelled_request_ends_its_events(pair_up: PairUp) -> None:
    pair = await pair_up(silent)
    location, _ = await submit(pair, STREAM)
    reading = asyncio.create_task(read_all(pair.second, location))
    assert (await pair.first.delete(location)).status_code == 200
    ((_, text),) = await reading
    assert json.loads(text)["error"]["code"] == "cancelled"


async def test_a_waiting_reader_gets_states_and_comments(pair_up: PairUp) -> None:
    pair = await pair_up(silent, ingress={"keepalive_s": 0.2})
    location, request = await submit(pair, PLAIN)
    lines: list[str] = []
    async with pair.second.stream("GET", f"{location}/events") as response:
        reading = response.aiter_lines()
        while not any(line.startswith(": queued wait_s=") for line in lines):
            lines.append(await anext(reading))
        await pair.dispatcher.say(request, [answered(request, b'{"a":1}')])
        lines += [line async for line in reading]
    assert lines[:2] == ["event: state", 'data: {"state":"queued","attempt":0}']
    assert 'data: {"state":"completed","attempt":1}' in lines
    assert lines[-3:] == ["id: 1.1", 'data: {"a":1}', ""]


async def test_a_resumable_request_is_answered_as_any_and_known_by_its_id(pair_up: PairUp) -> None:
    pair = await pair_up(lambda request: [answered(request, b'{"a":1}')])
    response = await pair.first.post(PATH, content=PLAIN, headers=RESUME)
    assert (response.status_code, response.content) == (200, b'{"a":1}')
    assert pair.dispatcher.requests[0].kind is Kind.RESUMABLE
    location = f"/v1/jobs/{response.headers['x-request-id']}"
    found = await pair.second.get(location, params={"wait": 30})
    assert found.json()["response"]["body"] == {"a": 1}


async def test_a_resumable_stream_is_the_upstreams_bytes(pair_up: PairUp) -> None:
    pair = await pair_up(lambda request: [*chunked(request, *CHUNKS), *the_end(request)])
    response = await pair.first.post(PATH, content=STREAM, headers=RESUME)
    assert response.content == WHOLE
    location = f"/v1/jobs/{response.headers['x-request-id']}"
    assert [text for _, text in await read_all(pair.second, location)] == data(*CHUNKS, DONE)


async def left_alone(pair: Pair, body: bytes = PLAIN) -> RequestRecord:
    """A resumable request whose client has gone."""
    asking = asyncio.create_task(pair.first.post(PATH, content=body, headers=RESUME))
    (request,) = await eventually(lambda: pair.dispatcher.requests)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    return request


async def test_a_resumable_request_without_a_client_is_cancelled_after_its_grace(
    pair_up: PairUp,
) -> None:
    pair = await pair_up(silent, ingress={"disconnect_grace_s": 3})
    request = await left_alone(pair)
    assert request.id not in pair.dispatcher.cancelled
    await eventually(lambda: request.id in pair.dispatcher.cancelled)
    found = await pair.second.get(f"/v1/jobs/{request.id}", params={"wait": 30})
    assert found.json()["state"] == "cancelled"


async def test_who_follows_it_at_another_replica_keeps_it(pair_up: PairUp) -> None:
    pair = await pair_up(silent, ingress={"disconnect_grace_s": 5})
    request = await left_alone(pair)
    location = f"/v1/jobs/{request.id}"
    assert (await pair.second.get(location)).json()["state"] == "queued"
    assert (await pair.second.get(location, params={"wait": 7})).json()["state"] == "queued"
    await pair.dispatcher.say(request, [answered(request, b'{"a":1}')])
    found = await pair.first.get(location, params={"wait": 30})
    assert found.json()["response"]["body"] == {"a": 1}
    assert not pair.dispatcher.cancelled


async def test_one_that_waits_longer_than_a_connection_may_says_where_its_answer_will_be(
    pair_up: PairUp,
) -> None:
    pair = await pair_up(silent, ingress={"max_sync_wait_s": 0.5})
    response = await pair.first.post(PATH, content=PLAIN, headers=RESUME)
    assert (response.status_code, response.json()["error"]["code"]) == (503, "still_waiting")
    assert response.headers["retry-after"]
    assert response.headers["x-should-retry"] == "false"
    (request,) = await eventually(lambda: pair.dispatcher.requests)
    assert response.headers["location"] == f"/v1/jobs/{request.id}"
    await pair.dispatcher.say(request, [answered(request, b'{"a":1}')])
    found = await pair.second.get(response.headers["location"], params={"wait": 30})
    assert found.json()["state"] == "completed"
    assert not pair.dispatcher.cancelled


async def test_a_cancel_by_the_api_answers_who_waits_on_the_connection(pair_up: PairUp) -> None:
    pair = await pair_up(silent)
    waiting = asyncio.create_task(pair.first.post(PATH, content=PLAIN, headers=RESUME))
    (request,) = await eventually(lambda: pair.dispatcher.requests)
    assert (await pair.second.delete(f"/v1/jobs/{request.id}")).status_code == 200
    response = await waiting
    assert (response.status_code, response.json()["error"]["code"]) == (499, "cancelled")


async def test_a_final_that_lost_against_a_cancel_is_shown_to_nobody(pair_up: PairUp) -> None:
    pair = await pair_up(silent)
    location, request = await submit(pair, PLAIN)
    await pair.first.delete(location)
    await pair.dispatcher.say(request, [answered(request, b'{"late":1}')])
    for http in pair.http:
        found = await http.get(location)
        assert (found.json()["state"], b"late" in found.content) == ("cancelled", False)
