"""Streams: forwarded as they come, byte for byte, and never ended as if they were whole."""

import asyncio
import gzip
from collections.abc import AsyncIterator

import pytest

from headrace.cli.mock import MockUpstream
from headrace.dispatcher.ports import Break
from headrace.schemas.config.model import Timeouts
from support.clock import Clock, is_close
from support.eventually import eventually
from support.raw_upstream import Connection, RawUpstream, chunk, plain, stream_head
from support.upstreams import calling

TOKEN = b'data: {"choices":[]}\n\n'
DONE = b"data: [DONE]\n\n"
FIRST_BYTE_S, STALL_S = 300.0, 600.0
SLOW = Timeouts(first_byte_s=FIRST_BYTE_S, stall_s=STALL_S, total_s=9_000)
PATIENT = 1000  # the longest linger_ms


@pytest.fixture
async def mock() -> AsyncIterator[MockUpstream]:
    """A quick mock upstream."""
    async with MockUpstream() as upstream:
        yield upstream


def asking(script: str = "") -> bytes:
    """A streaming request whose model name tells the mock what to do."""
    model = b"mock:" + script.encode() if script else b"m"
    return b'{"model":"%b","stream":true,"messages":[{"role":"user","content":"hi"}]}' % model


async def test_a_stream_comes_back_byte_for_byte(mock: MockUpstream) -> None:
    async with calling(mock.base_url) as caller:
        quick = await caller.call(asking(), stream=True)
        slow = await caller.call(asking("ttft=100;tps=200;tokens=20"), stream=True)
    assert quick.broken is slow.broken is None
    assert quick.first_s is not None
    assert slow.first_s is not None
    assert slow.first_s >= 0.09
    assert slow.forwarded == len(caller.chunks) > 1
    whole = b"".join(caller.chunks) + slow.body
    assert whole.endswith(DONE)
    assert whole.count(b"data: ") == mock.log.calls[1].finished.chunks  # type: ignore[union-attr]


async def test_the_first_event_goes_out_before_the_second_comes() -> None:
    go_on = asyncio.Event()

    async def play(connection: Connection) -> None:
        await connection.say(stream_head(), chunk(TOKEN))
        await go_on.wait()
        await connection.say(chunk(TOKEN), chunk(DONE), chunk(b""))

    async with (
        RawUpstream(play) as upstream,
        calling(upstream.base_url, chunk_linger_ms=PATIENT) as caller,
    ):
        task = asyncio.create_task(caller.call(stream=True))
        await eventually(lambda: caller.chunks == [TOKEN])
        go_on.set()
        end = await task
    assert end.forwarded == len(caller.chunks)
    assert b"".join(caller.chunks) + end.body == TOKEN + TOKEN + DONE


async def test_events_are_whole_however_the_bytes_come() -> None:
    stream = (b": hello\n\n" + TOKEN * 3 + DONE).replace(b"\n", b"\r\n")

    async def play(connection: Connection) -> None:
        await connection.say(stream_head(), *(chunk(bytes([byte])) for byte in stream), chunk(b""))

    async with (
        RawUpstream(play) as upstream,
        calling(upstream.base_url, chunk_linger_ms=0) as caller,
    ):
        end = await caller.call(stream=True)
    assert all(each.endswith((b"\r\n\r", b"\r\n")) for each in caller.chunks)
    whole = (b"".join(caller.chunks) + end.body).replace(b"\r\n", b"\n")
    # A comment is forwarded if it came in one read with what follows it.
    assert whole.removeprefix(b": hello\n\n").strip() == (TOKEN * 3 + DONE).strip()


async def test_comments_do_not_bind_a_request_to_an_attempt() -> None:
    async def play(connection: Connection) -> None:
        await connection.say(stream_head(), chunk(b": processing\n\n"))
        connection.close()

    async with RawUpstream(play) as upstream, calling(upstream.base_url) as caller:
        end = await caller.call(stream=True)
    assert (end.broken, end.forwarded) == (Break.STREAM_BROKEN, 0)


@pytest.mark.parametrize(
    ("fault", "broken"),
    [
        ("cut", Break.STREAM_BROKEN),
        ("fin", Break.STREAM_BROKEN),
        ("no_done", Break.STREAM_BROKEN),
        ("truncate", Break.STREAM_BROKEN),
        ("malformed", Break.STREAM_BROKEN),
        ("bad_utf8", Break.STREAM_BROKEN),
        ("huge_line", Break.STREAM_BROKEN),
        ("stall_after", Break.STALL),
    ],
)
async def test_a_broken_stream_forwards_its_good_events_and_says_so(
    mock: MockUpstream, clock: Clock, fault: str, broken: Break
) -> None:
    async with calling(mock.base_url) as caller:
        body = asking(f"fault={fault};after=3;tps=100")
        call = asyncio.create_task(caller.call(body, stream=True, timeout_s=600.0))
        await eventually(lambda: b"".join(caller.chunks).count(b"data: {") == 3 or call.done())
        await clock.until(call)
        end = call.result()
    assert (end.broken, end.body, end.status) == (broken, b"", 200)
    assert end.forwarded == len(caller.chunks) >= 1
    events = b"".join(caller.chunks)
    assert events.count(b"data: {") == 3
    assert events.endswith(b"\n\n")


async def test_a_stream_broken_in_its_first_packet_can_be_repeated() -> None:
    async def play(connection: Connection) -> None:
        await connection.say(stream_head() + chunk(TOKEN * 2 + b"data: {oops\n\n"))
        await connection.until_gone()

    async with RawUpstream(play) as upstream, calling(upstream.base_url) as caller:
        end = await caller.call(stream=True)
    assert (end.broken, end.forwarded, caller.chunks) == (Break.STREAM_BROKEN, 0, [])
    assert end.detail == "not JSON"


async def test_an_error_event_tells_its_status_and_is_kept_as_it_came() -> None:
    event = b'data: {"error":{"message":"later","type":"overloaded_error"}}\n\n'

    async def play(connection: Connection) -> None:
        await connection.say(stream_head() + chunk(event + DONE) + chunk(b""))

    async with RawUpstream(play) as upstream, calling(upstream.base_url) as caller:
        end = await caller.call(stream=True)
    assert (end.broken, end.status, end.body) == (None, 529, event)
    assert end.stream_error == b'{"message":"later","type":"overloaded_error"}'
    assert (end.client_status, end.content_type) == (200, b"text/event-stream")


@pytest.mark.parametrize(
    "answer",
    [
        plain(b'{"error":{}}', b"content-type: text/event-stream", status=b"500 Oops"),
        plain(b'{"choices":[]}', b"content-type: application/json"),
    ],
)
async def test_an_answer_that_is_no_stream_is_a_plain_one(answer: bytes) -> None:
    async def play(connection: Connection) -> None:
        await connection.say(answer)

    async with RawUpstream(play) as upstream, calling(upstream.base_url) as caller:
        end = await caller.call(stream=True)
    assert (end.broken, end.forwarded) == (None, 0)
    assert answer.endswith(end.body)


async def test_a_packed_stream_is_unpacked() -> None:
    async def play(connection: Connection) -> None:
        packed = gzip.compress(TOKEN + DONE)
        await connection.say(stream_head(b"content-encoding: gzip"), chunk(packed), chunk(b""))

    async with RawUpstream(play) as upstream, calling(upstream.base_url) as caller:
        end = await caller.call(stream=True)
    assert (end.broken, b"".join(caller.chunks) + end.body) == (None, TOKEN + DONE)


async def test_an_endless_stream_is_cut_off() -> None:
    async def play(connection: Connection) -> None:
        await connection.say(stream_head())
        while True:
            await connection.say(chunk(TOKEN * 100))

    async with (
        RawUpstream(play) as upstream,
        calling(upstream.base_url, max_answer_bytes=100_000) as caller,
    ):
        end = await caller.call(stream=True)
    assert end.broken is Break.TOO_LARGE
    assert sum(map(len, caller.chunks)) <= 100_000


@pytest.mark.parametrize(
    ("said", "broken", "bound_s"),
    [
        (b"", Break.FIRST_BYTE_TIMEOUT, FIRST_BYTE_S),
        (b"data: ", Break.FIRST_BYTE_TIMEOUT, FIRST_BYTE_S),
        (TOKEN, Break.STALL, STALL_S),
    ],
)
async def test_a_stream_that_falls_silent_is_ended(
    clock: Clock, said: bytes, broken: Break, bound_s: float
) -> None:
    async def play(connection: Connection) -> None:
        await connection.say(stream_head(), *([chunk(said)] if said else []))
        silent.set()
        await connection.until_gone()

    silent = asyncio.Event()
    async with RawUpstream(play) as upstream, calling(upstream.base_url, timeouts=SLOW) as caller:
        call = asyncio.create_task(caller.call(stream=True, timeout_s=9_000.0))
        await silent.wait()
        await eventually(lambda: caller.chunks or said != TOKEN)
        assert is_close(await clock.until(call), bound_s)
    assert call.result().broken is broken


async def test_a_byte_now_and_then_is_no_progress(mock: MockUpstream, clock: Clock) -> None:
    async with calling(mock.base_url, timeouts=SLOW) as caller:
        body = asking("bytes_per_s=0.1")
        call = asyncio.create_task(caller.call(body, stream=True, timeout_s=9_000.0))
        await eventually(lambda: mock.log.calls)
        assert is_close(await clock.until(call), FIRST_BYTE_S)
    assert call.result().broken is Break.FIRST_BYTE_TIMEOUT


async def test_a_finished_stream_leaves_its_connection_for_the_next() -> None:
    async def play(connection: Connection) -> None:
        await connection.say(stream_head(), chunk(TOKEN), chunk(DONE))
        await connection.say(chunk(b""))

    async with (
        RawUpstream(play, requests=2) as upstream,
        calling(upstream.base_url) as caller,
    ):
        for _ in range(2):
            assert (await caller.call(stream=True)).broken is None
    assert len(upstream.connections) == 1


async def test_a_stream_that_never_closes_is_whole_with_its_end_mark() -> None:
    async def play(connection: Connection) -> None:
        await connection.say(stream_head(), chunk(TOKEN + DONE))
        await connection.until_gone()

    async with RawUpstream(play) as upstream, calling(upstream.base_url) as caller:
        end = await caller.call(stream=True)
        await eventually(upstream.connections[0].gone.is_set)
    assert (end.broken, end.body) == (None, TOKEN + DONE)


async def test_nothing_is_forwarded_after_a_cancel(mock: MockUpstream) -> None:
    async with calling(mock.base_url) as caller:
        task = asyncio.create_task(caller.call(asking("tps=500;tokens=100000"), stream=True))
        await eventually(lambda: len(caller.chunks) > 2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        count = len(caller.chunks)
        finished = await eventually(lambda: mock.log.calls[0].finished)
    assert finished is not None
    assert finished.outcome == "client_disconnected"
    assert len(caller.chunks) == count
