"""Each bound on a call ends it in time, and what held the call is free for the next one."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from headrace.cli.mock import MockUpstream
from headrace.dispatcher.ports import Break
from headrace.schemas.config.model import Timeouts
from support.raw_upstream import Connection, RawUpstream, plain
from support.upstreams import calling

BOUND_S = 0.4
LATE_S = 0.5
BOUNDS = Timeouts(first_byte_s=BOUND_S, stall_s=BOUND_S, total_s=30)
SHORT = Timeouts(total_s=BOUND_S)


@pytest.fixture
async def mock() -> AsyncIterator[MockUpstream]:
    async with MockUpstream() as upstream:
        yield upstream


def asking(script: str, *, stream: bool) -> bytes:
    """A request whose model name tells the mock what to do."""
    text = f'"messages":[{{"role":"user","content":"hi"}}],"stream":{str(stream).lower()}'
    return f'{{"model":"mock:{script}",{text}}}'.encode()


@pytest.mark.parametrize(
    ("script", "stream", "bounds", "broken"),
    [
        ("latency=20000", True, BOUNDS, Break.FIRST_BYTE_TIMEOUT),
        ("ttft=20000", True, BOUNDS, Break.FIRST_BYTE_TIMEOUT),
        ("bytes_per_s=1", True, BOUNDS, Break.FIRST_BYTE_TIMEOUT),
        ("fault=stall", True, BOUNDS, Break.FIRST_BYTE_TIMEOUT),
        ("fault=stall_after;after=2", True, BOUNDS, Break.STALL),
        ("tokens=1000;tps=1", True, BOUNDS, Break.STALL),
        ("tokens=1000;tps=20", True, SHORT, Break.TOTAL_TIMEOUT),
        ("fault=stall_after", False, BOUNDS, Break.STALL),
        ("latency=20000", False, SHORT, Break.TOTAL_TIMEOUT),
        ("bytes_per_s=1", False, SHORT, Break.TOTAL_TIMEOUT),
        ("fault=stall", False, SHORT, Break.TOTAL_TIMEOUT),
    ],
)
async def test_a_slow_upstream_is_given_up_in_time(
    mock: MockUpstream, script: str, stream: bool, bounds: Timeouts, broken: Break
) -> None:
    async with calling(mock.base_url, timeouts=bounds) as caller:
        began_s = time.monotonic()
        end = await caller.call(asking(script, stream=stream), stream=stream)
        took_s = time.monotonic() - began_s
    assert end.broken is broken
    assert BOUND_S - 0.01 <= took_s <= BOUND_S + LATE_S


async def test_a_call_ends_at_its_requests_deadline_where_that_is_sooner(
    mock: MockUpstream,
) -> None:
    async with calling(mock.base_url) as caller:
        began_s = time.monotonic()
        end = await caller.call(asking("latency=20000", stream=False), timeout_s=BOUND_S)
        took_s = time.monotonic() - began_s
    assert end.broken is Break.TOTAL_TIMEOUT
    assert took_s <= BOUND_S + LATE_S


async def test_an_upstream_that_accepts_and_never_answers_gives_its_connection_back() -> None:
    silent = True

    async def play(connection: Connection) -> None:
        if silent:
            await connection.until_gone()
        else:
            await connection.say(plain(b"{}"))

    async with (
        RawUpstream(play) as upstream,
        calling(upstream.base_url, timeouts=SHORT, concurrency=1) as caller,
    ):
        assert (await caller.call()).broken is Break.TOTAL_TIMEOUT
        await asyncio.wait_for(upstream.connections[0].gone.wait(), 2)
        silent = False
        assert (await caller.call()).status == 200


async def test_calls_that_never_end_hold_up_no_other_deployment(mock: MockUpstream) -> None:
    async with (
        calling(mock.base_url, timeouts=BOUNDS) as stuck,
        calling(mock.base_url) as healthy,
    ):
        body = asking("fault=stall", stream=True)
        hanging = [asyncio.create_task(stuck.call(body, stream=True)) for _ in range(50)]
        began_s = time.monotonic()
        assert (await healthy.call(asking("tokens=1", stream=False))).status == 200
        assert time.monotonic() - began_s < BOUND_S
        ends = await asyncio.gather(*hanging)
    assert {end.broken for end in ends} == {Break.FIRST_BYTE_TIMEOUT}
