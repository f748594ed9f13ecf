"""A deadline that passes before a seat is free is an answer, in time, and costs no call."""

import asyncio
import json
import uuid

import pytest

from support.eventually import eventually
from support.http_client import Client
from support.installation import Installation, chat, header

pytestmark = pytest.mark.asyncio(loop_scope="session")

DEADLINE_S = 1.0
GENEROUS_S = 3.0
"""What an answer may be late on a busy machine; unhurried it is a quarter of a second."""


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
async def test_a_request_behind_a_busy_seat_expires_in_time(
    running: Installation, client: Client, stream: bool
) -> None:
    first = chat(f"busy {uuid.uuid4()}", model="one-seat", user="latency=5000")
    second = chat(f"too late {uuid.uuid4()}", model="one-seat", stream=stream)
    busy = asyncio.create_task(client.ask(first))
    await eventually(lambda: running.calls_with(first))
    answer = await client.ask(second, headrace_timeout=str(DEADLINE_S))
    assert DEADLINE_S <= answer.took_s <= DEADLINE_S + GENEROUS_S
    if stream:  # its 200 went out with the first keep-alive
        assert answer.status == 200
        last = answer.body.strip().rpartition(b"\n\n")[2].removeprefix(b"data: ")
    else:
        assert answer.status == 504
        last = answer.body
    assert json.loads(last)["error"]["code"] == "deadline_exceeded"
    assert not busy.done()
    assert (await busy).status == 200
    assert running.calls_with(second) == []
    finals = [
        record
        for record in await running.dump(running.topics.replies)
        if header(record, "ce_id") == answer.id.encode()
    ]
    assert [header(record, "headrace-outcome") for record in finals] == [b"expired"]


async def test_a_call_does_not_run_past_its_deadline(running: Installation, client: Client) -> None:
    body = chat("runs too long", user="latency=30000")
    answer = await client.ask(body, headrace_timeout=str(DEADLINE_S))
    assert answer.status == 504
    assert answer.took_s <= DEADLINE_S + GENEROUS_S
    (call,) = running.calls_with(body)
    await eventually(lambda: running.calls_with(body)[0].finished)
    assert call.received.attempt == 1


async def test_a_retry_that_cannot_end_in_time_is_not_waited_for(
    running: Installation, client: Client
) -> None:
    body = chat("no time left", user="status=429;retry_after=60")
    answer = await client.ask(body, headrace_timeout="20")
    assert answer.status == 429
    assert answer.took_s <= 10
    assert len(running.calls_with(body)) == 1
