"""Streams that wait in the queue, and how they come."""

import asyncio
import json

import aiohttp
import pytest

from support.eventually import eventually
from support.http_client import Client
from support.installation import Installation, chat

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def lines_of(response: aiohttp.ClientResponse) -> tuple[list[bytes], list[bytes]]:
    """Comments and `data:` lines, in their order."""
    lines = [line async for line in response.content]
    comments = [line for line in lines if line.startswith(b":")]
    return comments, [line for line in lines if line.startswith(b"data:")]


async def test_a_queued_stream_is_kept_alive_and_then_comes(
    running: Installation, client: Client
) -> None:
    first = chat("holds the seat", model="one-seat", user="latency=5000")
    second = chat("waits for it", model="one-seat", stream=True)
    busy = asyncio.create_task(client.ask(first))
    await eventually(lambda: running.calls_with(first))
    async with client.open(second) as response:
        assert response.status == 200
        assert response.headers["content-type"].startswith("text/event-stream")
        assert running.calls_with(second) == []
        comments, data = await lines_of(response)
    async with Client(running.upstream_url) as upstream:
        direct = await upstream.ask(second)
    assert len(comments) >= 2
    assert all(comment.startswith(b": queued wait_s=") for comment in comments)
    assert b"".join(line + b"\n" for line in data) == direct.body
    assert (await busy).status == 200


async def test_the_first_token_does_not_wait_for_the_last(
    running: Installation, client: Client
) -> None:
    body = chat("first token", stream=True, user="tokens=100;tps=25")
    async with client.open(body) as response:
        assert (await response.content.readline()).startswith(b"data:")
        (call,) = running.calls_with(body)
        assert call.finished is None
        _, data = await lines_of(response)
    assert data[-1] == b"data: [DONE]\n"


async def test_an_error_after_the_keep_alive_is_an_event(client: Client) -> None:
    body = chat("late error", stream=True, user="latency=4000;status=400")
    async with client.open(body) as response:
        assert response.status == 200
        comments, (only,) = await lines_of(response)
    assert comments
    assert b'"error"' in only


async def test_many_streams_at_once_do_not_mix(running: Installation, client: Client) -> None:
    sent = [chat(f"stream {n}", stream=True, user="tokens=60;tps=60") for n in range(40)]
    through = await asyncio.gather(*(client.ask(body) for body in sent))
    async with Client(running.upstream_url) as upstream:
        direct = [await upstream.ask(body, x_mock_script="tps=0") for body in sent]
    assert [one.body for one in through] == [one.body for one in direct]


FAULTS = ("cut", "fin", "no_done", "truncate", "malformed", "bad_utf8", "huge_line", "error_event")


@pytest.mark.parametrize("late", [False, True], ids=["early", "after the keep-alive"])
async def test_a_stream_that_breaks_ends_in_an_error_event(client: Client, late: bool) -> None:
    """Every way an upstream's stream can break: its good events, then the error; never a clean end."""
    await asyncio.gather(*(assert_broken(client, fault, late) for fault in FAULTS))


async def assert_broken(client: Client, fault: str, late: bool) -> None:
    script = f"fault={fault};after=3;tps=100" + (";latency=4000" if late else "")
    async with client.open(chat(f"{fault} {late}", stream=True, user=script)) as response:
        assert response.status == 200, fault
        comments, data = await lines_of(response)
    *events, last = [json.loads(line.removeprefix(b"data:")) for line in data]
    assert comments or not late, fault
    assert len(events) == 3, fault
    assert all("error" not in event for event in events), fault
    error = last["error"]
    if fault == "error_event":
        assert error["type"] == "server_error"  # the upstream's own
    else:
        assert error["code"] == "upstream_stream_broken", fault


async def test_a_stream_that_breaks_before_its_first_event_is_repeated(
    running: Installation, client: Client
) -> None:
    body = chat("broken at once", stream=True, user="fail=1xcut+1xerror_event;after=0")
    answer = await client.ask(body)
    assert answer.status == 200
    assert answer.body.endswith(b"data: [DONE]\n\n")
    assert len(running.calls_with(body)) == 3
