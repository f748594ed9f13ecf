"""A client that leaves takes its request with it: by the upstream's own log."""

import asyncio
import time
import uuid

import pytest

from headrace.cli.mock.log import LoggedCall, Outcome
from support.eventually import eventually
from support.http_client import Client
from support.installation import Installation, chat

pytestmark = pytest.mark.asyncio(loop_scope="session")

LIMIT_MS = 1_000
LONG = "latency=30000"


def now_ms() -> int:
    return time.time_ns() // 1_000_000


async def called(running: Installation, body: bytes) -> LoggedCall:
    """The one call with `body`, once the upstream has it."""
    (call,) = await eventually(lambda: running.calls_with(body))
    return call


async def assert_dropped(running: Installation, body: bytes, left_at: int) -> None:
    """The upstream lost its caller within a second."""

    def end() -> int:
        (call,) = running.calls_with(body)
        if call.finished is None:
            return 0
        assert call.finished.outcome is Outcome.CLIENT_DISCONNECTED
        return call.finished.finished_at

    assert await eventually(end) - left_at <= LIMIT_MS


async def leave(asking: "asyncio.Task[object]") -> int:
    """Drop the connection; when that was."""
    left_at = now_ms()
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    return left_at


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
async def test_a_client_that_leaves_while_it_waits_ends_its_call(
    running: Installation, client: Client, stream: bool
) -> None:
    body = chat(f"leaving {stream}", stream=stream, user=LONG)
    asking = asyncio.create_task(client.ask(body))
    await called(running, body)
    await assert_dropped(running, body, await leave(asking))


async def test_a_client_that_leaves_in_the_middle_of_a_stream_ends_its_call(
    running: Installation, client: Client
) -> None:
    body = chat("leaving in the middle", stream=True, user="tokens=10000;tps=50")
    async with client.open(body) as response:
        assert (await response.content.readline()).startswith(b"data:")
        left_at = now_ms()
        response.close()
    await assert_dropped(running, body, left_at)


async def test_a_call_that_was_given_up_leaves_its_seat(
    running: Installation, client: Client
) -> None:
    body = chat("holds the seat", model="one-seat", user=LONG)
    asking = asyncio.create_task(client.ask(body))
    await called(running, body)
    await leave(asking)
    answer = await client.ask(chat("wants the seat", model="one-seat"))
    assert answer.status == 200


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
async def test_a_request_given_up_in_the_queue_is_never_called(
    running: Installation, client: Client, stream: bool
) -> None:
    first = chat(f"busy {uuid.uuid4()}", model="one-seat", user="latency=2500")
    second = chat(f"queued {uuid.uuid4()}", model="one-seat", stream=stream)
    last = chat(f"after it {uuid.uuid4()}", model="one-seat")
    busy = asyncio.create_task(client.ask(first))
    await called(running, first)
    queued = asyncio.create_task(client.ask(second))
    lane = running.topics.requests("standard")
    await running.read_matching(lane, lambda record: record.value == second)
    await leave(queued)
    assert (await client.ask(last)).status == 200
    assert (await busy).status == 200
    assert running.calls_with(second) == []
    (end,) = await running.read_matching(
        running.topics.events,
        lambda record: (
            b'"cancelled"' in (record.value or b"")
            and f'"request_bytes":{len(second)},'.encode() in (record.value or b"")
        ),
    )
    assert b'"attempt":1' in (end.value or b"")
