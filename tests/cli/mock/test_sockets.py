"""What stands on the wire when an answer breaks, seen by a bare socket."""

import asyncio
import json
from typing import NamedTuple

import pytest

from headrace.cli.mock import MockConfig, MockUpstream
from headrace.cli.mock.log import Finished, Outcome
from support.clock import Clock, is_close
from support.eventually import eventually


class Wire(NamedTuple):
    """What a bare client received, and whether it ended in a reset."""

    received: bytes
    reset: bool


def request_bytes(script: str = "", *, stream: bool = True, extra: str = "") -> bytes:
    """A chat request as it stands on the wire."""
    body = json.dumps({"model": "m", "stream": stream, "messages": [{"role": "user"}]})
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: m\r\n{extra}"
    return f"{head}x-mock-script: {script}\r\ncontent-length: {len(body)}\r\n\r\n{body}".encode()


async def connect(upstream: MockUpstream) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A bare connection to the mock."""
    host, _, port = upstream.url.removeprefix("http://").partition(":")
    return await asyncio.open_connection(host, int(port), limit=32 * 1024 * 1024)


async def exchange(upstream: MockUpstream, request: bytes) -> Wire:
    """Send `request`, read until the mock ends the connection."""
    reader, writer = await connect(upstream)
    writer.write(request)
    received, reset = bytearray(), False
    try:
        while part := await asyncio.wait_for(reader.read(65536), 60):
            received += part
    except ConnectionResetError:
        reset = True
    writer.close()
    return Wire(bytes(received), reset)


async def ended(upstream: MockUpstream) -> Finished:
    """The end of the last call in the log."""
    await eventually(lambda: upstream.log.calls and upstream.log.calls[-1].finished)
    finished = upstream.log.calls[-1].finished
    assert finished is not None
    return finished


@pytest.mark.parametrize("stream", [True, False])
async def test_a_reset_comes_before_any_answer(upstream: MockUpstream, stream: bool) -> None:
    wire = await exchange(upstream, request_bytes("fault=reset", stream=stream))
    assert wire == Wire(b"", reset=True)
    assert (await ended(upstream)).outcome is Outcome.CUT


async def test_a_close_comes_before_any_answer(upstream: MockUpstream) -> None:
    assert await exchange(upstream, request_bytes("fault=close")) == Wire(b"", reset=False)


async def test_a_cut_stream_is_reset_after_k_events(upstream: MockUpstream) -> None:
    wire = await exchange(upstream, request_bytes("fault=cut;after=4"))
    assert wire.reset
    assert wire.received.count(b"data: ") == 4
    finished = await ended(upstream)
    assert (finished.outcome, finished.status, finished.chunks) == (Outcome.CUT, 200, 4)


async def test_a_fin_leaves_the_chunked_body_open(upstream: MockUpstream) -> None:
    wire = await exchange(upstream, request_bytes("fault=fin;after=4"))
    assert not wire.reset
    assert wire.received.count(b"data: ") == 4
    assert not wire.received.endswith(b"0\r\n\r\n")


async def test_a_stream_without_done_ends_like_a_good_one(upstream: MockUpstream) -> None:
    extra = "connection: close\r\n"
    wire = await exchange(upstream, request_bytes("fault=no_done;after=4", extra=extra))
    assert wire.received.count(b"data: ") == 4
    assert wire.received.endswith(b"0\r\n\r\n")
    assert b"[DONE]" not in wire.received
    assert (await ended(upstream)).outcome is Outcome.ANSWERED


async def test_a_cut_plain_answer_is_shorter_than_declared(upstream: MockUpstream) -> None:
    wire = await exchange(upstream, request_bytes("fault=fin", stream=False))
    head, _, body = wire.received.partition(b"\r\n\r\n")
    declared = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    assert 0 < len(body) < declared


async def test_a_huge_line_arrives_whole(upstream: MockUpstream) -> None:
    extra = "connection: close\r\n"
    wire = await exchange(upstream, request_bytes("fault=huge_line", extra=extra))
    longest = max(wire.received.split(b"\n"), key=len)
    assert len(longest) > 8 * 1024 * 1024
    assert b"[DONE]" in wire.received


async def test_bytes_drip_at_the_scripted_rate(clock: Clock, upstream: MockUpstream) -> None:
    reader, writer = await connect(upstream)
    writer.write(request_bytes("bytes_per_s=0.01", stream=False))
    await reader.readuntil(b"\r\n\r\n")
    ten = asyncio.create_task(reader.readexactly(10))
    assert is_close(await clock.until(ten), 900.0)  # the first comes at once
    writer.close()


@pytest.mark.parametrize("script", ["fault=stall", "latency_ms=60000", "bytes_per_s=1"])
async def test_a_client_that_goes_away_is_noticed_at_once(
    upstream: MockUpstream, script: str
) -> None:
    _, writer = await connect(upstream)
    writer.write(request_bytes(script))
    await eventually(lambda: upstream.stats.in_flight == 1)
    writer.close()
    await eventually(lambda: upstream.stats.in_flight == 0)
    finished = await ended(upstream)
    assert finished.outcome is Outcome.CLIENT_DISCONNECTED


async def test_a_stall_in_the_middle_has_sent_k_events(upstream: MockUpstream) -> None:
    reader, writer = await connect(upstream)
    writer.write(request_bytes("fault=stall_after;after=2"))
    await reader.readuntil(b"data: ")
    await reader.readuntil(b"data: ")
    await eventually(lambda: upstream.stats.in_flight == 1)
    writer.close()
    finished = await ended(upstream)
    assert (finished.outcome, finished.chunks) == (Outcome.CLIENT_DISCONNECTED, 2)


async def test_a_reader_that_stands_still_does_not_fill_memory(upstream: MockUpstream) -> None:
    _, writer = await connect(upstream)
    writer.write(request_bytes("tokens=10000000"))
    await eventually(lambda: upstream.stats.in_flight == 1)
    health = await exchange(upstream, b"GET /health HTTP/1.0\r\n\r\n")
    assert b"ok" in health.received
    writer.transport.abort()
    finished = await ended(upstream)
    assert finished.outcome is Outcome.CLIENT_DISCONNECTED
    assert finished.bytes < 64 * 1024 * 1024


async def test_calls_in_flight_at_the_end_are_logged_as_stopped() -> None:
    async with MockUpstream() as upstream:
        _, writer = await connect(upstream)
        writer.write(request_bytes("fault=stall"))
        await eventually(lambda: upstream.stats.in_flight == 1)
    finished = upstream.log.calls[0].finished
    assert finished is not None
    assert finished.outcome is Outcome.STOPPED
    writer.close()


async def test_pipelined_requests_are_answered_in_order(upstream: MockUpstream) -> None:
    slow = request_bytes("latency_ms=50;status=500", stream=False)
    last = request_bytes("status=503", stream=False, extra="connection: close\r\n")
    wire = await exchange(upstream, slow + last)
    assert wire.received.index(b" 500 ") < wire.received.index(b" 503 ")


async def test_a_body_above_the_bound_gets_413_while_it_is_sent() -> None:
    async with MockUpstream(MockConfig(max_body_bytes=1000)) as upstream:
        head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: m\r\ncontent-length: 200000\r\n\r\n"
        wire = await exchange(upstream, head + b"x" * 200_000)
    assert b" 413 " in wire.received


async def test_what_is_no_http_gets_400(upstream: MockUpstream) -> None:
    assert b" 400 " in (await exchange(upstream, b"HELO mill\r\n\r\n")).received


async def test_connections_above_the_bound_are_closed() -> None:
    async with MockUpstream(MockConfig(max_connections=1)) as upstream:
        _, first = await connect(upstream)
        assert await exchange(upstream, b"GET /health HTTP/1.0\r\n\r\n") == Wire(b"", reset=False)
        first.close()
