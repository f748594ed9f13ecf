"""A client that leaves takes its request with it: by the upstream's own log."""

import asyncio
import time
import uuid

import pytest

from headrace.cli.mock.log import LoggedCall, Outcome
from headrace.schemas.names import RequestId, Tenant
from headrace.schemas.replies import Cancel, encode_cancel
from support.eventually import eventually
from support.http_client import Client
from support.installation import Installation, chat

pytestmark = pytest.mark.asyncio(loop_scope="session")

LONG = "latency=600000"
SOON_S = 10.0
"""What is kept for somebody who may come back is kept longer."""


async def called(running: Installation, body: bytes) -> LoggedCall:
    """The one call with `body`, once the upstream has it."""
    (call,) = await eventually(lambda: running.calls_with(body))
    return call


async def assert_dropped(running: Installation, body: bytes) -> None:
    """The upstream loses its caller soon."""
    finished = await eventually(lambda: running.calls_with(body)[0].finished, within_s=SOON_S)
    assert finished.outcome is Outcome.CLIENT_DISCONNECTED


async def leave(asking: "asyncio.Task[object]") -> None:
    """Drop the connection."""
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
async def test_a_client_that_leaves_while_it_waits_ends_its_call(
    running: Installation, client: Client, stream: bool
) -> None:
    body = chat(f"leaving {stream}", stream=stream, user=LONG)
    asking = asyncio.create_task(client.ask(body))
    await called(running, body)
    await leave(asking)
    await assert_dropped(running, body)


async def test_a_client_that_leaves_in_the_middle_of_a_stream_ends_its_call(
    running: Installation, client: Client
) -> None:
    body = chat("leaving in the middle", stream=True, user="tokens=10000;tps=50")
    async with client.open(body) as response:
        assert (await response.content.readline()).startswith(b"data:")
        response.close()
    await assert_dropped(running, body)


async def test_a_call_that_was_given_up_leaves_its_seat(
    running: Installation, client: Client
) -> None:
    body = chat("holds the seat", model="one-seat", user=LONG)
    asking = asyncio.create_task(client.ask(body))
    await called(running, body)
    await leave(asking)
    answer = await client.ask(chat("wants the seat", model="one-seat"))
    assert answer.status == 200


async def test_a_cancel_is_of_one_tenant_though_another_uses_the_same_id(
    running: Installation,
) -> None:
    name, lane = uuid.uuid4().hex, running.topics.requests("standard")
    bodies = {owner: chat(f"{name} of {owner}", user=LONG) for owner in ("acme", "globex")}
    for owner, body in bodies.items():
        named = {"ce_id": name.encode(), "headrace-tenant": owner.encode()}
        await running.produce(lane, body, headers=named)
        await called(running, body)
    for owner in list(bodies):
        assert all(running.calls_with(body)[0].finished is None for body in bodies.values())
        wish = Cancel(RequestId(name), round(time.time() * 1000) + 60_000, Tenant(owner))
        await running.produce(running.topics.control, b"", headers=encode_cancel(wish, b"test"))
        await assert_dropped(running, bodies.pop(owner))


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
async def test_a_request_given_up_in_the_queue_is_never_called(
    running: Installation, client: Client, stream: bool
) -> None:
    first = chat(f"busy {uuid.uuid4()}", model="one-seat", user=LONG)
    second = chat(f"queued {uuid.uuid4()}", model="one-seat", stream=stream)
    last = chat(f"after it {uuid.uuid4()}", model="one-seat")
    busy = asyncio.create_task(client.ask(first))
    await called(running, first)
    queued = asyncio.create_task(client.ask(second))
    lane = running.topics.requests("standard")
    await running.read_matching(lane, lambda record: record.value == second)
    await leave(queued)
    (end,) = await running.read_matching(
        running.topics.events,
        lambda record: (
            b'"cancelled"' in (record.value or b"")
            and f'"request_bytes":{len(second)},'.encode() in (record.value or b"")
        ),
    )
    assert b'"attempt":1' in (end.value or b"")
    await leave(busy)
    assert (await client.ask(last)).status == 200
    assert running.calls_with(second) == []
