"""A deadline that passes before a seat is free is an answer, in time, and costs no call."""

import asyncio
import json
import uuid

import pytest

from headrace.cli.mock.log import Outcome
from support.eventually import eventually
from support.http_client import Client
from support.installation import Installation, chat, header

pytestmark = pytest.mark.asyncio(loop_scope="session")

DEADLINE_S = 3.0


async def test_requests_behind_a_busy_seat_expire_in_time(
    running: Installation, client: Client
) -> None:
    first = chat(f"busy {uuid.uuid4()}", model="one-seat", user="latency=12000")
    plain, stream = (
        chat(f"too late {uuid.uuid4()}", model="one-seat", stream=stream)
        for stream in (False, True)
    )
    busy = asyncio.create_task(client.ask(first))
    await eventually(lambda: running.calls_with(first))
    answers = await asyncio.gather(
        *(client.ask(one, headrace_timeout=str(DEADLINE_S)) for one in (plain, stream))
    )
    assert not busy.done()
    for answer, status in zip(answers, (504, 200), strict=True):
        assert answer.took_s >= DEADLINE_S
        assert answer.status == status  # a stream's 200 goes out with its first keep-alive
        last = answer.body.strip().rpartition(b"\n\n")[2].removeprefix(b"data: ")
        assert json.loads(last)["error"]["code"] == "deadline_exceeded"
    assert (await busy).status == 200
    assert running.calls_with(plain) == running.calls_with(stream) == []
    replies = await running.dump(running.topics.replies)
    for answer in answers:
        finals = [one for one in replies if header(one, "ce_id") == answer.id.encode()]
        assert [header(one, "headrace-outcome") for one in finals] == [b"expired"]


async def test_a_call_does_not_run_past_its_deadline(running: Installation, client: Client) -> None:
    body = chat("runs too long", user="latency=600000")
    answer = await client.ask(body, headrace_timeout="5")
    assert answer.status == 504
    finished = await eventually(lambda: running.calls_with(body)[0].finished)
    assert finished.outcome is Outcome.CLIENT_DISCONNECTED
    (call,) = running.calls_with(body)
    assert call.received.attempt == 1


async def test_a_retry_that_cannot_end_in_time_is_not_waited_for(
    running: Installation, client: Client
) -> None:
    body = chat("no time left", user="status=429;retry_after=6000")
    answer = await client.ask(body, headrace_timeout="600")  # longer than this client waits
    assert answer.status == 429
    assert len(running.calls_with(body)) == 1
