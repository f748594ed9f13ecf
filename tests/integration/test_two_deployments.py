"""A request moves on to another deployment, and comes back to none sooner than that one asked for."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from headrace.cli.localkafka import LocalKafka
from headrace.cli.mock import MockUpstream
from support.eventually import eventually
from support.http_client import Client
from support.installation import Installation, chat, installation

pytestmark = pytest.mark.asyncio(loop_scope="session")

ASKED_MS = 30_000
WEST = "mock:latency=4000"
EAST = f"mock:status=429;retry_after_ms={ASKED_MS}"
NORTH = "mock:status=401"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def upstream() -> AsyncIterator[MockUpstream]:
    """One mock for all deployments; the model's name there is its script."""
    async with MockUpstream() as one:
        yield one


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def two(
    kafka: LocalKafka, upstream: MockUpstream, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Installation]:
    def place(model: str, script: str, seats: int) -> dict[str, object]:
        there = {"base_url": upstream.base_url, "model": script}
        return {"model": model, "upstream": there, "limits": {"process_concurrency": seats}}

    async with installation(
        kafka.bootstrap,
        tmp_path_factory.mktemp("two"),
        models={
            "west": place("throttled", WEST, 1),
            "east": place("throttled", EAST, 5),
            "south": place("refused", WEST, 1),
            "north": place("refused", NORTH, 5),
        },
    ) as one:
        yield one


def asked(upstream: MockUpstream, request_id: str) -> list[str]:
    """The scripts of the deployments that a request was sent to, in order."""
    every = [call.received for call in upstream.log.calls]
    return [one.model for one in every if one.request_id == request_id]


@pytest.mark.parametrize(("model", "other"), [("throttled", EAST), ("refused", NORTH)])
async def test_a_request_waits_for_a_seat_elsewhere_and_is_not_sent_back(
    two: Installation, upstream: MockUpstream, model: str, other: str
) -> None:
    """The only seat elsewhere was taken, and so it went back to where it was turned away."""
    calls = len(upstream.log.calls)
    async with Client(two.url) as client:
        busy = asyncio.create_task(client.ask(chat("first", model=model)))
        await eventually(lambda: len(upstream.log.calls) > calls)
        answer = await client.ask(chat("second", model=model))
        first = await busy
    assert (first.status, answer.status) == (200, 200)
    assert asked(upstream, first.id) == [WEST]
    assert asked(upstream, answer.id) == [other, WEST]
