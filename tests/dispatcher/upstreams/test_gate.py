"""Nothing is sent unless the gate opens, and a gate that stays closed costs no connection."""

import asyncio
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from headrace.cli.mock import MockUpstream
from headrace.dispatcher.ports import Break
from headrace.schemas.config.model import Timeouts
from support.eventually import eventually
from support.raw_upstream import Connection, RawUpstream, chunk, plain, stream_head
from support.upstreams import calling

BODY = b'{"model":"m"}'
CHAT = b'{"model":"m","messages":[{"role":"user","content":"hi"}]}'
USAGE = b'{"prompt_tokens":3,"completion_tokens":5}'


async def answer(connection: Connection) -> None:
    await connection.say(plain(b"{}"))


def closed() -> bool:
    return False


def asked(answers: Iterator[bool], log: list[bool]) -> bool:
    log.append(next(answers))
    return log[-1]


@pytest.mark.parametrize("kept", [False, True], ids=["new connection", "kept connection"])
async def test_a_closed_gate_sends_nothing(kept: bool) -> None:
    async with (
        RawUpstream(answer, requests=3) as upstream,
        calling(upstream.base_url, gated=True) as caller,
    ):
        if kept:
            assert (await caller.call(BODY)).status == 200
        end = await caller.call(b'{"model":"never"}', gate=closed)
        assert (end.withheld, end.status, end.broken) == (True, 0, None)
        assert (await caller.call(BODY)).status == 200
        # What came next on the one connection is the next call: of the withheld one not a byte.
        (connection,) = upstream.connections
        assert connection.body == BODY


async def test_closed_gates_use_no_connection_up() -> None:
    """An exception from aiohttp's tracing would leave each new connection open, known to nobody."""
    async with (
        RawUpstream(answer, requests=9) as upstream,
        calling(upstream.base_url, concurrency=1, gated=True) as caller,
    ):
        ends = await asyncio.gather(*(caller.call(BODY, gate=closed) for _ in range(20)))
        assert all(end.withheld for end in ends)
        assert (await caller.call(BODY, timeout_s=10.0)).status == 200
        assert len(upstream.connections) == 1


async def test_connections_of_closed_gates_end_with_the_session() -> None:
    async def play(_connection: Connection) -> None:
        """Nothing ever comes."""

    async with RawUpstream(play, read=False) as upstream:
        async with calling(upstream.base_url, gated=True) as caller:
            assert (await caller.call(BODY, gate=closed)).withheld
            (connection,) = await eventually(lambda: upstream.connections)
        await asyncio.wait_for(connection.until_gone(), 60)


async def test_the_gate_is_asked_once_and_with_the_connection_in_hand() -> None:
    log: list[bool] = []
    async with MockUpstream() as mock, calling(mock.base_url, gated=True) as caller:
        end = await caller.call(CHAT, gate=partial(asked, iter([True]), log))
    assert (end.status, log) == (200, [True])


@pytest.mark.parametrize("size", [0, 300_000], ids=["small", "in pieces"])
async def test_it_is_told_how_long_after_the_gate_the_first_byte_left(size: int) -> None:
    body = CHAT.replace(b"hi", b"h" * size)
    async with MockUpstream() as mock, calling(mock.base_url, gated=True) as caller:
        assert (await caller.call(body)).spent_s == 0
        end = await caller.call(body, gate=lambda: True)
    assert (end.status, 0 < end.spent_s < 5) == (200, True)


async def test_the_gate_of_a_call_without_a_connection_is_not_asked() -> None:
    log: list[bool] = []
    async with calling("http://127.0.0.1:1/v1", gated=True) as caller:
        end = await caller.call(BODY, gate=partial(asked, iter([True]), log))
    assert (end.broken, end.withheld, log) == (Break.NOT_SENT, False, [])


async def test_the_gate_of_a_call_that_waits_for_a_connection_is_asked_after_the_wait() -> None:
    log: list[bool] = []
    release = asyncio.Event()

    async def play(connection: Connection) -> None:
        await release.wait()
        await connection.say(plain(b"{}"))

    async with (
        RawUpstream(play, requests=2) as upstream,
        calling(upstream.base_url, concurrency=1, gated=True) as caller,
    ):
        first = asyncio.create_task(caller.call(BODY))
        await eventually(lambda: upstream.connections and upstream.connections[0].body)
        second = asyncio.create_task(caller.call(BODY, gate=partial(asked, iter([True]), log)))
        await asyncio.sleep(0)
        assert log == []
        release.set()
        assert [(await first).status, (await second).status] == [200, 200]
    assert log == [True]


async def test_a_call_that_is_cut_ends_at_once_and_closes_its_connection() -> None:
    cuts: list[Callable[[], None]] = []

    async def play(_connection: Connection) -> None:
        """Nothing ever comes."""

    async with (
        RawUpstream(play) as upstream,
        calling(upstream.base_url, gated=True) as caller,
    ):
        call = asyncio.create_task(caller.call(BODY, cuttable=cuts.append))
        await eventually(lambda: upstream.connections and upstream.connections[0].body)
        (cut,) = cuts
        cut()
        cut()
        end = await asyncio.wait_for(call, 10)
        assert (end.broken, end.forwarded) == (Break.SEAT_LOST, 0)
        await asyncio.wait_for(upstream.connections[0].until_gone(), 10)


@pytest.mark.parametrize(("metered", "usage"), [(True, USAGE), (False, b"")])
async def test_a_stream_tells_its_usage_where_it_matters(metered: bool, usage: bytes) -> None:
    async def play(connection: Connection) -> None:
        events = (
            b'data: {"choices":[{}],"usage":null}\n\n',
            b'data: {"choices":[],"usage":%b}\n\n' % USAGE,
            b'data: {"choices":[]}\n\n',
            b"data: [DONE]\n\n",
        )
        await connection.say(stream_head(), *map(chunk, events), chunk(b""))

    async with (
        RawUpstream(play) as upstream,
        calling(upstream.base_url, gated=True, timeouts=Timeouts(total_s=20)) as caller,
    ):
        end = await caller.call(BODY, stream=True, metered=metered)
    assert (end.status, end.broken, end.usage) == (200, None, usage)
