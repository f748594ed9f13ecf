"""Calls that end without a whole answer: what is known to have been sent decides their name."""

import asyncio
import socket
from collections.abc import Awaitable, Callable

import pytest

from headrace.dispatcher.ports import Break
from headrace.schemas.config.model import Timeouts
from support.clock import Clock, is_close
from support.eventually import eventually
from support.raw_upstream import Connection, RawUpstream, plain
from support.upstreams import calling

BOUNDS = Timeouts(first_byte_s=300, stall_s=600, total_s=900)
DRIP_S = 20.0
HEAD = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n"


async def test_a_refused_connection_was_not_sent() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/v1"
        async with calling(url) as caller:
            end = await caller.call()
    assert (end.broken, end.status) == (Break.NOT_SENT, 0)


async def test_a_name_that_does_not_resolve_was_not_sent() -> None:
    async with calling("http://upstream.invalid/v1") as caller:
        assert (await caller.call()).broken is Break.NOT_SENT


async def test_a_failed_tls_handshake_was_not_sent() -> None:
    async def play(connection: Connection) -> None:
        await connection.say(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        connection.close()

    async with (
        RawUpstream(play, read=False) as upstream,
        calling(upstream.base_url.replace("http:", "https:")) as caller,
    ):
        end = await caller.call()
    assert end.broken is Break.NOT_SENT


async def test_a_connection_that_does_not_come_about_was_not_sent() -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        address = full.getsockname()
        # The kernel completes two handshakes for a backlog of zero; further ones get no answer.
        waiting = [socket.socket() for _ in range(2)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(address)
        async with calling(
            f"http://127.0.0.1:{address[1]}/v1", timeouts=Timeouts(connect_s=0.3)
        ) as caller:
            end = await caller.call()
        for each in waiting:
            each.close()
    assert end.broken is Break.NOT_SENT


async def test_a_reset_while_the_body_goes_out_was_not_sent() -> None:
    async def play(connection: Connection) -> None:
        connection.reset()

    async with RawUpstream(play, read=False) as upstream, calling(upstream.base_url) as caller:
        end = await caller.call(b'{"x":"' + b"y" * 20_000_000 + b'"}')
    assert end.broken is Break.NOT_SENT


async def _reset(connection: Connection) -> None:
    connection.reset()


async def _close(connection: Connection) -> None:
    connection.close()


async def _half_a_head(connection: Connection) -> None:
    await connection.say(b"HTTP/1.1 200 OK\r\ncontent-le")
    connection.close()


@pytest.mark.parametrize("play", [_reset, _close, _half_a_head])
async def test_a_connection_lost_after_the_request_gave_no_answer(
    play: Callable[[Connection], Awaitable[None]],
) -> None:
    async with RawUpstream(play) as upstream, calling(upstream.base_url) as caller:
        end = await caller.call()
    assert (end.broken, end.status) == (Break.NO_ANSWER, 0)


async def _garbage(connection: Connection) -> None:
    await connection.say(b"SSH-2.0-OpenSSH_9.6\r\n\r\n")
    connection.close()


async def _short_body(connection: Connection) -> None:
    await connection.say(HEAD, b"only this")
    connection.close()


async def _bad_chunks(connection: Connection) -> None:
    await connection.say(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\nno\r\n")
    connection.close()


async def _no_last_chunk(connection: Connection) -> None:
    await connection.say(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n")
    connection.close()


@pytest.mark.parametrize("play", [_garbage, _short_body, _bad_chunks, _no_last_chunk])
async def test_an_answer_that_does_not_end_is_broken(
    play: Callable[[Connection], Awaitable[None]],
) -> None:
    async with RawUpstream(play) as upstream, calling(upstream.base_url) as caller:
        end = await caller.call()
    assert (end.broken, end.body) == (Break.STREAM_BROKEN, b"")


async def _drip(connection: Connection, data: bytes) -> None:
    """A byte now and then, for longer than any bound."""
    for at in range(len(data)):
        await connection.say(data[at : at + 1])
        await asyncio.sleep(DRIP_S)


async def _silent(connection: Connection) -> None:
    await connection.until_gone()


async def _slow_head(connection: Connection) -> None:
    await _drip(connection, b"HTTP/1.1 200 OK\r\nx-slow: " + b"s" * 100)


async def _stalled_body(connection: Connection) -> None:
    await connection.say(HEAD, b"some")
    await connection.until_gone()


async def _slow_body(connection: Connection) -> None:
    await connection.say(HEAD)
    await _drip(connection, b"z" * 100)


@pytest.mark.parametrize(
    ("play", "stream", "broken", "bound_s"),
    [
        (_silent, True, Break.FIRST_BYTE_TIMEOUT, BOUNDS.first_byte_s),
        (_slow_head, True, Break.FIRST_BYTE_TIMEOUT, BOUNDS.first_byte_s),
        (_silent, False, Break.TOTAL_TIMEOUT, BOUNDS.total_s),
        (_stalled_body, False, Break.STALL, BOUNDS.stall_s),
        (_slow_body, False, Break.TOTAL_TIMEOUT, BOUNDS.total_s),
    ],
)
async def test_each_bound_ends_a_slow_call_and_never_early(
    clock: Clock,
    play: Callable[[Connection], Awaitable[None]],
    stream: bool,
    broken: Break,
    bound_s: float,
) -> None:
    async with RawUpstream(play) as upstream, calling(upstream.base_url, timeouts=BOUNDS) as caller:
        call = asyncio.create_task(caller.call(stream=stream, timeout_s=2 * BOUNDS.total_s))
        await asked(upstream)
        assert is_close(await clock.until(call), bound_s)
    assert call.result().broken is broken


async def asked(upstream: RawUpstream, connections: int = 1) -> None:
    """Wait until a call has come on the last of so many connections."""
    made = upstream.connections
    await eventually(lambda: len(made) == connections and made[-1].body)


async def test_the_time_left_of_the_request_bounds_the_call() -> None:
    async with RawUpstream(_silent) as upstream, calling(upstream.base_url) as caller:
        end = await caller.call(timeout_s=0.1)
    assert end.broken is Break.TOTAL_TIMEOUT


async def test_a_call_out_of_time_frees_its_connection(clock: Clock) -> None:
    async with (
        RawUpstream(_silent) as upstream,
        calling(upstream.base_url, concurrency=1) as caller,
    ):
        for number in (1, 2):
            call = asyncio.create_task(caller.call(timeout_s=60.0))
            await asked(upstream, number)
            await clock.until(call)
            await eventually(upstream.connections[-1].gone.is_set)
            assert call.result().broken is Break.TOTAL_TIMEOUT


async def test_a_post_on_a_dead_kept_alive_connection_is_not_sent_twice() -> None:
    played: list[Connection] = []

    async def play(connection: Connection) -> None:
        played.append(connection)
        if len(played) == 1:
            await connection.say(plain(b"{}"))
        else:
            connection.reset()

    async with RawUpstream(play, requests=2) as upstream, calling(upstream.base_url) as caller:
        assert (await caller.call()).broken is None
        assert (await caller.call()).broken is Break.NO_ANSWER
    assert len(played) == 2
    assert len(upstream.connections) == 1


async def test_the_detail_quotes_no_header_of_the_upstream() -> None:
    async def play(connection: Connection) -> None:
        await connection.say(b"HTTP/1.1 200 OK\r\nset-cookie secret\r\n\r\n")
        connection.close()

    async with RawUpstream(play) as upstream, calling(upstream.base_url) as caller:
        end = await caller.call()
    assert end.broken is Break.STREAM_BROKEN
    assert "secret" not in end.detail
