"""Each bound on a call ends it in time, and what held the call is free for the next one."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from headrace.cli.mock import MockUpstream
from headrace.dispatcher.ports import Break
from headrace.schemas.config.model import Timeouts
from support.clock import Clock, is_close
from support.eventually import eventually
from support.raw_upstream import Connection, RawUpstream, plain
from support.upstreams import calling

BOUND_S = 300.0
FAR_S = 10 * BOUND_S
"""Of the bounds and pauses that must not be what ends a call."""
FIRST_BYTE = Timeouts(first_byte_s=BOUND_S, stall_s=FAR_S, total_s=FAR_S)
STALL = Timeouts(first_byte_s=FAR_S, stall_s=BOUND_S, total_s=FAR_S)
TOTAL = Timeouts(first_byte_s=FAR_S, stall_s=FAR_S, total_s=BOUND_S)
LONG: dict[str, float] = {"timeout_s": FAR_S}
"""The request itself has time enough."""


@pytest.fixture
async def mock() -> AsyncIterator[MockUpstream]:
    async with MockUpstream() as upstream:
        yield upstream


def asking(script: str, *, stream: bool) -> bytes:
    """A request whose model name tells the mock what to do."""
    text = f'"messages":[{{"role":"user","content":"hi"}}],"stream":{str(stream).lower()}'
    return f'{{"model":"mock:{script}",{text}}}'.encode()


@pytest.mark.parametrize(
    ("script", "stream", "bounds", "broken", "chunks"),
    [
        ("latency=9000000", True, FIRST_BYTE, Break.FIRST_BYTE_TIMEOUT, 0),
        ("ttft=9000000", True, FIRST_BYTE, Break.FIRST_BYTE_TIMEOUT, 0),
        ("bytes_per_s=0.1", True, FIRST_BYTE, Break.FIRST_BYTE_TIMEOUT, 0),
        ("fault=stall", True, FIRST_BYTE, Break.FIRST_BYTE_TIMEOUT, 0),
        ("fault=stall_after;after=2", True, STALL, Break.STALL, 1),
        ("tokens=1000;tps=0.0001", True, STALL, Break.STALL, 1),
        ("tokens=1000;tps=0.1", True, TOTAL, Break.TOTAL_TIMEOUT, 1),
        ("fault=stall_after", False, STALL, Break.STALL, 0),
        ("latency=9000000", False, TOTAL, Break.TOTAL_TIMEOUT, 0),
        ("bytes_per_s=0.1", False, TOTAL, Break.TOTAL_TIMEOUT, 0),
        ("fault=stall", False, TOTAL, Break.TOTAL_TIMEOUT, 0),
    ],
)
async def test_a_slow_upstream_is_given_up_in_time(
    mock: MockUpstream,
    clock: Clock,
    script: str,
    stream: bool,
    bounds: Timeouts,
    broken: Break,
    chunks: int,
) -> None:
    async with calling(mock.base_url, timeouts=bounds) as caller:
        call = asyncio.create_task(
            caller.call(asking(script, stream=stream), stream=stream, **LONG)
        )
        await eventually(lambda: mock.log.calls and len(caller.chunks) >= chunks)
        assert is_close(await clock.until(call), BOUND_S)
    assert call.result().broken is broken


async def test_a_call_ends_at_its_requests_deadline_where_that_is_sooner(
    mock: MockUpstream, clock: Clock
) -> None:
    body = asking("latency=9000000", stream=False)
    async with calling(mock.base_url, timeouts=Timeouts(total_s=FAR_S)) as caller:
        call = asyncio.create_task(caller.call(body, timeout_s=BOUND_S))
        await eventually(lambda: mock.log.calls)
        assert is_close(await clock.until(call), BOUND_S)
    assert call.result().broken is Break.TOTAL_TIMEOUT


async def test_an_upstream_that_accepts_and_never_answers_gives_its_connection_back(
    clock: Clock,
) -> None:
    silent = True

    async def play(connection: Connection) -> None:
        if silent:
            await connection.until_gone()
        else:
            await connection.say(plain(b"{}"))

    async with (
        RawUpstream(play) as upstream,
        calling(upstream.base_url, timeouts=TOTAL, concurrency=1) as caller,
    ):
        first = asyncio.create_task(caller.call(**LONG))
        await eventually(lambda: upstream.connections and upstream.connections[0].body)
        await clock.until(first)
        assert first.result().broken is Break.TOTAL_TIMEOUT
        await eventually(upstream.connections[0].gone.is_set)
        silent = False
        assert (await caller.call()).status == 200


async def test_calls_that_never_end_hold_up_no_other_deployment(
    mock: MockUpstream, clock: Clock
) -> None:
    async with (
        calling(mock.base_url, timeouts=FIRST_BYTE) as stuck,
        calling(mock.base_url) as healthy,
    ):
        body = asking("fault=stall", stream=True)
        hanging = [asyncio.create_task(stuck.call(body, stream=True, **LONG)) for _ in range(50)]
        await eventually(lambda: len(mock.log.calls) == len(hanging))
        assert (await healthy.call(asking("tokens=1", stream=False))).status == 200
        assert not any(call.done() for call in hanging)
        ends = asyncio.gather(*hanging)
        await clock.until(ends)
    assert {end.broken for end in ends.result()} == {Break.FIRST_BYTE_TIMEOUT}
