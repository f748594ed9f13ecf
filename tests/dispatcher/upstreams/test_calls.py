"""Whole answers, from the mock upstream and from servers that say exactly what a test wants."""

import asyncio
import gzip
from collections.abc import AsyncIterator

import aiohttp
import pytest

from headrace.cli.mock import MockUpstream
from headrace.dispatcher.ports import Break
from headrace.schemas.names import Endpoint
from support.eventually import eventually
from support.raw_upstream import Connection, RawUpstream, chunk, plain
from support.upstreams import calling

CHAT = b'{"model":"m","messages":[{"role":"user","content":"hi"}]}'


@pytest.fixture
async def mock() -> AsyncIterator[MockUpstream]:
    """A quick mock upstream."""
    async with MockUpstream() as upstream:
        yield upstream


def scripted(script: str) -> bytes:
    """A body whose model name tells the mock what to do."""
    return CHAT.replace(b'"m"', b'"mock:%b"' % script.encode())


async def directly(mock: MockUpstream, body: bytes) -> tuple[int, bytes]:
    """What the mock answers without us."""
    headers = {"Content-Type": "application/json"}
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{mock.base_url}/chat/completions", data=body, headers=headers) as answer,
    ):
        return answer.status, await answer.read()


async def test_an_answer_comes_back_byte_for_byte(mock: MockUpstream) -> None:
    async with calling(mock.base_url) as caller:
        end = await caller.call(CHAT)
    assert (end.status, end.body) == await directly(mock, CHAT)
    assert (end.broken, end.forwarded, end.content_type) == (None, 0, b"application/json")


@pytest.mark.parametrize("status", [400, 401, 404, 409, 413, 422, 429, 500, 503, 529])
async def test_an_error_answer_comes_back_byte_for_byte(mock: MockUpstream, status: int) -> None:
    body = scripted(f"status={status}")
    async with calling(mock.base_url) as caller:
        end = await caller.call(body)
    assert (end.status, end.body) == await directly(mock, body)
    assert end.broken is None


async def test_retry_hints_come_back(mock: MockUpstream) -> None:
    async with calling(mock.base_url) as caller:
        end = await caller.call(scripted("status=429;retry_after=7;should_retry=false"))
    assert end.headers["retry-after"] == "7"
    assert end.headers["x-should-retry"] == "false"


@pytest.mark.parametrize("endpoint", list(Endpoint))
async def test_each_endpoint_lies_below_the_base_url(endpoint: Endpoint) -> None:
    async def play(connection: Connection) -> None:
        await connection.say(plain(b"{}"))

    async with RawUpstream(play) as upstream, calling(upstream.base_url + "/") as caller:
        await caller.call(endpoint=endpoint)
    line = upstream.connections[0].head.split(b"\r\n")[0]
    assert line == b"POST /v1/%b HTTP/1.1" % endpoint.encode()


async def test_only_the_listed_headers_are_sent() -> None:
    async def play(connection: Connection) -> None:
        await connection.say(plain(b"{}", b"set-cookie: a=b"))

    trace = b"00-" + b"a" * 32 + b"-" + b"b" * 16 + b"-01"
    async with (
        RawUpstream(play, requests=2) as upstream,
        calling(upstream.base_url, api_key="sk-secret") as caller,
    ):
        for _ in range(2):
            await caller.call(id="r-7", traceparent=trace)
    assert len(upstream.connections) == 1
    lines = upstream.connections[0].head.lower().split(b"\r\n")[1:-2]
    sent = dict(line.split(b": ", 1) for line in lines)
    assert sent.pop(b"host").startswith(b"127.0.0.1:")
    assert sent == {
        b"accept": b"*/*",
        b"accept-encoding": b"identity",
        b"authorization": b"bearer sk-secret",
        b"content-length": b"13",
        b"content-type": b"application/json",
        b"idempotency-key": b"r-7",
        b"traceparent": trace,
        b"user-agent": b"headrace",
        b"x-request-id": b"r-7",
    }


async def test_the_upstreams_own_model_name_is_sent(mock: MockUpstream) -> None:
    async with calling(mock.base_url, model="theirs") as caller:
        end = await caller.call(CHAT)
    assert mock.log.calls[0].received.model == "theirs"
    assert end.body == (await directly(mock, CHAT.replace(b'"m"', b'"theirs"')))[1]


async def test_a_body_of_four_megabytes_is_sent_whole(mock: MockUpstream) -> None:
    async with calling(mock.base_url) as caller:
        end = await caller.call(CHAT.replace(b"hi", b"x" * 4_000_000))
    assert end.status == 200


@pytest.mark.parametrize("target", [b"http://169.254.169.254/latest", b"/v1/other"])
async def test_a_redirect_is_an_answer_and_not_followed(target: bytes) -> None:
    async def play(connection: Connection) -> None:
        answer = plain(b"moved", b"location: " + target, status=b"307 Temporary Redirect")
        await connection.say(answer)

    async with RawUpstream(play) as upstream, calling(upstream.base_url) as caller:
        end = await caller.call()
    assert (end.status, end.body) == (307, b"moved")
    assert len(upstream.connections) == 1


@pytest.mark.parametrize("body", [b'{"cut":', b"", b"\xff\xfe", b"<html>"])
async def test_a_body_that_is_no_json_is_passed_on(body: bytes) -> None:
    async def play(connection: Connection) -> None:
        await connection.say(plain(body, b"content-type: text/html"))

    async with RawUpstream(play) as upstream, calling(upstream.base_url) as caller:
        end = await caller.call()
    assert (end.body, end.broken, end.content_type) == (body, None, b"text/html")


async def test_a_body_that_comes_in_pieces_is_joined() -> None:
    async def play(connection: Connection) -> None:
        head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
        await connection.say(head, chunk(b"a" * 70_000), chunk(b"b" * 70_000), chunk(b""))

    async with RawUpstream(play) as upstream, calling(upstream.base_url) as caller:
        end = await caller.call()
    assert end.body == b"a" * 70_000 + b"b" * 70_000


async def test_a_packed_answer_is_unpacked() -> None:
    async def play(connection: Connection) -> None:
        await connection.say(plain(gzip.compress(b'{"ok":1}'), b"content-encoding: gzip"))

    async with RawUpstream(play) as upstream, calling(upstream.base_url) as caller:
        end = await caller.call()
    assert (end.body, end.broken) == (b'{"ok":1}', None)


@pytest.mark.parametrize("encoding", [b"br", b"gzip"])
async def test_an_answer_that_cannot_be_unpacked_is_broken(encoding: bytes) -> None:
    async def play(connection: Connection) -> None:
        await connection.say(plain(b"garbage", b"content-encoding: " + encoding))

    async with RawUpstream(play) as upstream, calling(upstream.base_url) as caller:
        end = await caller.call()
    assert (end.broken, end.body) == (Break.STREAM_BROKEN, b"")


@pytest.mark.parametrize(
    "answer",
    [
        plain(b"x" * 5_000),
        plain(gzip.compress(bytes(10_000_000)), b"content-encoding: gzip"),
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + chunk(b"x" * 5_000),
        b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n",
    ],
)
async def test_an_answer_above_the_bound_is_cut_off(answer: bytes) -> None:
    async def play(connection: Connection) -> None:
        await connection.say(answer)
        await connection.until_gone()

    async with (
        RawUpstream(play) as upstream,
        calling(upstream.base_url, max_answer_bytes=4_999) as caller,
    ):
        end = await caller.call()
    assert (end.broken, end.body, end.status) == (Break.TOO_LARGE, b"", 200)


async def test_more_calls_than_connections_take_turns(mock: MockUpstream) -> None:
    async with calling(mock.base_url, concurrency=2) as caller:
        ends = await asyncio.gather(*(caller.call(CHAT) for _ in range(20)))
    assert [end.status for end in ends] == [200] * 20


async def test_a_cancelled_call_closes_its_connection_at_once(mock: MockUpstream) -> None:
    async with calling(mock.base_url) as caller:
        task = asyncio.create_task(caller.call(scripted("latency_ms=60000")))
        await eventually(lambda: mock.log.calls)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        finished = await eventually(lambda: mock.log.calls[0].finished)
    assert finished is not None
    assert finished.outcome == "client_disconnected"


async def test_closing_may_come_twice(mock: MockUpstream) -> None:
    async with calling(mock.base_url) as caller:
        await caller._upstream.close()
        await caller._upstream.close()
