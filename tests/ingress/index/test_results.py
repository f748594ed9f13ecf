"""Answers are read back whole from where the terminal row says they are."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from headrace.cli.localkafka import LocalKafka
from headrace.ingress.index import ResultGone, Results
from headrace.schemas import replies
from headrace.schemas.config.model import Config
from headrace.schemas.names import Outcome, RequestId
from headrace.schemas.replies import Reply
from headrace.telemetry.logs import get_log
from support.indexing import Writers, writers
from support.serving import create_topics, ingress_config


@pytest.fixture
def config(kafka: LocalKafka, topic_prefix: str) -> Config:
    return ingress_config(kafka.bootstrap, topic_prefix)


@pytest_asyncio.fixture
async def write(config: Config) -> AsyncIterator[Writers]:
    await create_topics(config)
    async with writers(config) as connected:
        yield connected


@pytest_asyncio.fixture
async def results(config: Config, write: Writers) -> AsyncIterator[Results]:
    running = Results(config.kafka, "test-results", get_log())
    task = asyncio.create_task(running.run())
    yield running
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


def answer(name: str, body: bytes, part: tuple[int, int] = (1, 1)) -> Reply:
    return Reply(
        id=RequestId(name), body=body, final=True, part=part, outcome=Outcome.COMPLETED, attempts=1
    )


async def put(write: Writers, partition: int, reply: Reply) -> int:
    """Write one record; its offset."""
    ack = await write.producer.send(
        write.topics.results,
        reply.body,
        key=reply.id.encode(),
        partition=partition,
        headers=replies.encode(reply, b"d-1"),
    )
    return (await ack).offset


async def test_an_answer_is_read_from_its_place(write: Writers, results: Results) -> None:
    places = [(name, await put(write, 2, answer(name, name.encode()))) for name in ("a", "b", "c")]
    for name, offset in reversed(places):
        reply = await results.fetch(RequestId(name), 2, offset, 1)
        assert (reply.id, reply.body, reply.final, reply.part) == (
            name,
            name.encode(),
            True,
            (1, 1),
        )


async def test_parts_are_joined_though_other_answers_stand_between(
    write: Writers, results: Results
) -> None:
    piece = bytes(range(256)) * 2000
    first = await put(write, 1, answer("long", piece, (1, 3)))
    for part in ((2, 3), (3, 3)):
        await put(write, 1, answer("other", b"{}"))
        await put(write, 1, answer("long", piece, part))
    reply = await results.fetch(RequestId("long"), 1, first, 3)
    assert reply.body == piece * 3


async def test_many_answers_of_all_partitions_come_at_once(
    write: Writers, results: Results
) -> None:
    places = [(n, n % 4, await put(write, n % 4, answer(f"r-{n}", b"%d" % n))) for n in range(60)]
    wanted = [(RequestId(f"r-{n}"), at, offset) for n, at, offset in places]
    found = await asyncio.gather(*(results.fetch(*place, 1) for place in wanted * 3))
    assert [reply.body for reply in found] == [b"%d" % n for n, _, _ in places * 3]


async def test_an_answer_that_is_not_there_is_told_as_gone(
    write: Writers, results: Results
) -> None:
    last = await put(write, 0, answer("a", b"{}"))
    a = RequestId("a")
    with pytest.raises(ResultGone):
        await results.fetch(a, 0, last + 1, 1)
    with pytest.raises(ResultGone):
        await results.fetch(a, 0, last, 2)
    assert (await results.fetch(a, 0, last, 1)).body == b"{}"


async def test_an_answer_to_another_request_at_its_place_is_told_as_gone(
    write: Writers, results: Results
) -> None:
    place = 0, await put(write, 0, answer("a", b"{}")), 1
    mine, other = await asyncio.gather(
        results.fetch(RequestId("a"), *place),
        results.fetch(RequestId("b"), *place),
        return_exceptions=True,
    )
    assert isinstance(other, ResultGone)
    assert isinstance(mine, Reply)
    with pytest.raises(ResultGone):  # read before, and kept
        await results.fetch(RequestId("b"), *place)
