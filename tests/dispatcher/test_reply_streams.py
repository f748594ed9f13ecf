"""Chunks of a stream on their way out, where Kafka does not take them all."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import (
    KafkaConnectionError,
    LeaderNotAvailableError,
    OutOfOrderSequenceNumber,
)
from aiokafka.structs import RecordMetadata

from headrace.dispatcher.kafka import replies
from headrace.dispatcher.kafka.outbox import Outbox, Undeliverable
from headrace.dispatcher.kafka.replies import Replies, ReplyStream
from headrace.schemas.names import DeploymentName, RequestId
from headrace.schemas.records import Headers, ReplyTo
from headrace.schemas.replies import Reply
from headrace.telemetry.logs import get_log
from support.eventually import eventually


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Streams are written again at once."""
    monkeypatch.setattr(replies, "AGAIN_S", 0.01)


class Chunks:
    """Takes chunks, but not `refused`. What is `late` is not taken in time, `unsent` not even handed over."""

    def __init__(self, *refused: bytes) -> None:
        self.taken: list[bytes] = []
        self.told: list[dict[str, bytes]] = []
        self.late: set[bytes] = set()
        self.unsent: set[bytes] = set()
        self.open: list[asyncio.Future[RecordMetadata]] = []
        self.failures = 0
        self._refused = refused

    async def ready(self) -> None:
        """What had to fail has failed."""
        for ack in self.open:
            ack.set_exception(OutOfOrderSequenceNumber())
        self.open.clear()
        await asyncio.sleep(0)

    async def post(
        self, topic: str, value: bytes, *, headers: Headers, **_: object
    ) -> "asyncio.Future[RecordMetadata]":
        ack: asyncio.Future[RecordMetadata] = asyncio.get_running_loop().create_future()
        if value in self._refused:
            raise Undeliverable("no such topic")
        self.failures += value in self.unsent | self.late
        if value in self.unsent:
            raise KafkaConnectionError("away")
        if value in self.late:
            ack.set_exception(LeaderNotAvailableError())
            return ack
        self.taken.append(value)
        self.told.append(dict(headers))
        place = TopicPartition(topic, 3)
        ack.set_result(RecordMetadata(topic, 3, place, len(self.taken) - 1, None, 0, 0))
        return ack


def answers(chunks: Chunks) -> Replies:
    outbox = cast("Outbox", chunks)

    async def gone(_topic: str) -> bool:
        return False

    return Replies(source=b"d", finals=outbox, chunks=outbox, bulk=outbox, gone=gone, log=get_log())


def stream(written: Replies, ended: list[str], name: str = "r") -> ReplyStream:
    base = Reply(id=RequestId(name), body=b"")
    return written.open(ReplyTo("answers"), base, lambda: ended.append(name))


async def drained(written: Replies, *streams: ReplyStream) -> None:
    async with writing(written):
        await drain(*streams)


async def drain(*streams: ReplyStream) -> None:
    async with asyncio.timeout(60):
        for one in streams:
            await one.drain()


@asynccontextmanager
async def writing(written: Replies) -> AsyncIterator[None]:
    task = asyncio.create_task(written.run())
    yield
    task.cancel()


async def test_a_stream_that_overflows_is_ended_and_can_be_drained(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It was waited for without end: the chunk that found no room was counted, and never handled."""
    monkeypatch.setattr(replies, "BACKLOG_BYTES", 3)
    chunks, ended = Chunks(), list[str]()
    written = answers(chunks)
    one = stream(written, ended)
    for chunk in (b"aa", b"bb", b"cc"):
        one.forward(chunk)
    assert (ended, one.broken) == (["r"], True)
    await drained(written, one)
    assert (chunks.taken, one.chunks) == ([], 0)


async def test_nothing_follows_a_chunk_that_found_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """A later chunk would stand where the lost one belongs, and no reader could tell."""
    monkeypatch.setattr(replies, "BACKLOG_BYTES", 0)
    chunks, ended = Chunks(), list[str]()
    written = answers(chunks)
    one = stream(written, ended)
    async with writing(written):
        one.forward(b"a")
        await drain(one)
    one.forward(b"b")
    one.forward(b"lost")
    await drained(written, one)
    one.forward(b"late")
    await drained(written, one)
    assert (chunks.taken, one.chunks, ended) == ([b"a"], 1, ["r"])


async def test_a_chunk_that_kafka_refuses_ends_its_stream_and_holds_up_no_other() -> None:
    chunks, ended = Chunks(b"bad"), list[str]()
    written = answers(chunks)
    broken, other = stream(written, ended, "broken"), stream(written, ended, "other")
    for chunk in (b"1", b"bad", b"3"):
        broken.forward(chunk)
    other.forward(b"whole")
    await drained(written, broken, other)
    assert chunks.taken == [b"1", b"whole"]
    assert (broken.chunks, other.chunks) == (1, 1)
    await eventually(lambda: ended == ["broken"])


@pytest.mark.parametrize("late", [True, False])
async def test_a_chunk_that_kafka_does_not_take_in_time_is_sent_again_with_all_behind_it(
    late: bool,
) -> None:
    chunks, ended, first = Chunks(), list[str](), list[tuple[int, int]]()
    away = chunks.late if late else chunks.unsent
    away.add(b"1")
    written = answers(chunks)
    held, other = stream(written, ended), stream(written, ended, "other")
    held.outlast("answers", lambda *place: first.append(place))
    async with writing(written):
        held.forward(b"1")
        await eventually(lambda: chunks.failures)
        held.forward(b"2")
        other.forward(b"whole")
        await drain(other)
        away.clear()
        await drain(held)
        held.forward(b"3")
        await drain(held)
    assert chunks.taken == [b"whole", b"1", b"2", b"3"]
    assert [told["headrace-seq"] for told in chunks.told] == [b"1", b"1", b"2", b"3"]
    assert (held.chunks, held.broken, ended, first) == (3, False, [], [(3, 1)])


async def test_nothing_overtakes_what_fails_with_the_producer_that_is_replaced(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    chunks, ended = Chunks(), list[str]()
    written = answers(chunks)
    one = stream(written, ended)
    post = chunks.post

    async def unanswered(*_: object, **__: object) -> "asyncio.Future[RecordMetadata]":
        chunks.open.append(asyncio.get_running_loop().create_future())
        return chunks.open[0]

    monkeypatch.setattr(chunks, "post", unanswered)
    async with writing(written):
        one.forward(b"1")
        await eventually(lambda: bool(chunks.open))
        monkeypatch.setattr(chunks, "post", post)
        one.forward(b"2")
        await drain(one)
    assert (chunks.taken, one.chunks, ended) == ([b"1", b"2"], 2, [])


async def test_what_streams_hold_is_bounded_for_all_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(replies, "BACKLOG_BYTES", 1)
    chunks, ended = Chunks(), list[str]()
    chunks.late.add(b"1")
    written = answers(chunks)
    one, other = stream(written, ended), stream(written, ended, "other")
    async with writing(written):
        one.forward(b"1")
        await eventually(lambda: chunks.failures)
        other.forward(b"2")
        other.forward(b"3")
        assert (ended, other.broken, one.broken) == (["other"], True, False)
        chunks.late.clear()
        await drain(one, other)
        one.forward(b"4")
        await drain(one)
    assert (one.chunks, one.broken) == (2, False)


async def test_a_held_chunk_whose_topic_is_gone_breaks_its_stream() -> None:
    chunks, ended = Chunks(b"2"), list[str]()
    chunks.unsent.add(b"1")
    written = answers(chunks)
    one = stream(written, ended)
    async with writing(written):
        one.forward(b"1")
        one.forward(b"2")
        await eventually(lambda: chunks.failures)
        chunks.unsent.clear()
        await drain(one)
    assert (one.broken, one.chunks, chunks.taken, ended) == (True, 1, [b"1"], ["r"])


async def test_a_stream_tells_with_its_first_chunk_who_answers_and_how_long_it_waited() -> None:
    chunks = Chunks()
    written = answers(chunks)
    base = Reply(id=RequestId("r"), body=b"", queue_ms=7, upstream=DeploymentName("east"))
    one = written.open(ReplyTo("answers"), base, list)
    one.forward(b"1")
    one.forward(b"2")
    await drained(written, one)
    upstreams = [told.get("headrace-upstream") for told in chunks.told]
    assert (upstreams, chunks.told[0]["headrace-queue-ms"]) == ([b"east", None], b"7")
