"""Who goes first, and how many at a time: by the upstream's own log."""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from headrace.cli.mock.log import LoggedCall
from support.eventually import eventually
from support.http_client import Client
from support.installation import Installation, chat, most_at_once

pytestmark = pytest.mark.asyncio(loop_scope="session")

CALL = "latency=40"


def bodies(name: str, count: int, model: str = "one-seat") -> list[bytes]:
    """Requests that no other test sends."""
    run = uuid.uuid4()
    return [chat(f"{name} {number} {run}", model=model, user=CALL) for number in range(count)]


def calls_of(running: Installation, sent: list[bytes]) -> list[LoggedCall]:
    """The upstream's calls of these requests, in order of receipt."""
    return [call for body in sent for call in running.calls_with(body)]


def turns(running: Installation, sent: list[bytes]) -> list[int]:
    """When the upstream got each call, as numbers in its own log."""
    return sorted(call.received.seq for call in calls_of(running, sent))


@asynccontextmanager
async def held_seat(running: Installation, client: Client) -> AsyncIterator[None]:
    """The only seat is taken: what is asked meanwhile queues."""
    body = chat(f"holds the seat {uuid.uuid4()}", model="one-seat", user="latency=600000")
    holding = asyncio.create_task(client.ask(body))
    await eventually(lambda: running.calls_with(body))
    yield
    holding.cancel()
    await asyncio.gather(holding, return_exceptions=True)


async def queued(running: Installation, lane: str, sent: list[bytes]) -> None:
    """Returns once all of them stand in their lane."""
    wanted = set(sent)

    async def all_stand() -> bool:
        records = await running.dump(running.topics.requests(lane))
        return wanted <= {record.value for record in records}

    await eventually(all_stand, every_s=0.2)


async def test_an_interactive_request_overtakes_a_backlog_of_batch(
    running: Installation, client: Client
) -> None:
    backlog, urgent = bodies("backlog", 60), bodies("urgent", 1)
    async with held_seat(running, client):
        waiting = [asyncio.create_task(client.ask(body, headrace_lane="batch")) for body in backlog]
        await queued(running, "batch", backlog)
        asking = asyncio.create_task(client.ask(urgent[0], headrace_lane="interactive"))
        await queued(running, "interactive", urgent)
    answer = await asking
    await asyncio.gather(*waiting)
    (turn,) = turns(running, urgent)
    assert answer.status == 200
    assert sum(other > turn for other in turns(running, backlog)) >= 20


async def test_a_flood_of_interactive_does_not_starve_batch(
    running: Installation, client: Client
) -> None:
    flood, low = bodies("flood", 80), bodies("low", 3)
    async with held_seat(running, client):
        asking = [
            asyncio.create_task(client.ask(body, headrace_lane="interactive")) for body in flood
        ]
        await queued(running, "interactive", flood)
        asking += [asyncio.create_task(client.ask(body, headrace_lane="batch")) for body in low]
        await queued(running, "batch", low)
    answers = await asyncio.gather(*asking)
    assert {answer.status for answer in answers} == {200}
    assert turns(running, low)[0] < turns(running, flood)[-10]


async def test_the_seats_of_a_deployment_are_never_exceeded(
    running: Installation, client: Client
) -> None:
    sent = bodies("crowd", 100, model="five-seats")
    lanes = ("interactive", "standard", "batch")
    answers = await asyncio.gather(
        *(client.ask(body, headrace_lane=lanes[n % 3]) for n, body in enumerate(sent))
    )
    calls = calls_of(running, sent)
    assert {answer.status for answer in answers} == {200}
    assert len(calls) == 100
    assert most_at_once(calls) == 5


async def test_a_model_without_a_seat_holds_back_no_other(
    running: Installation, client: Client
) -> None:
    crowd, other = bodies("crowd of one model", 40), bodies("another model", 1, model="small")
    async with held_seat(running, client):
        waiting = [asyncio.create_task(client.ask(body)) for body in crowd]
        await queued(running, "standard", crowd)
        assert (await client.ask(other[0])).status == 200
        assert calls_of(running, crowd) == []
    await asyncio.gather(*waiting)


async def test_a_lane_that_nobody_has_is_refused(client: Client) -> None:
    (body,) = bodies("lost", 1)
    answer = await client.ask(body, headrace_lane="express")
    assert answer.status == 400
    assert json.loads(answer.body)["error"]["code"] == "unknown_lane"
