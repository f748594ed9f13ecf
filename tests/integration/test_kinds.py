"""What a dispatcher writes for requests with a kind: results that last, and their states."""

import time
import uuid

import pytest

from headrace.schemas import replies, status
from headrace.schemas.names import Endpoint, Kind, LaneName, ModelName, Outcome, RequestId
from headrace.schemas.records import ReplyTo, RequestRecord, encode
from headrace.schemas.replies import Cancel, Reply, encode_cancel
from headrace.schemas.status import Running, Terminal, status_key
from support.eventually import eventually
from support.installation import Installation, Record, chat, header

pytestmark = pytest.mark.asyncio(loop_scope="session")

LANE = LaneName("standard")
PARTITION = 1
LASTS = "latency=200"
"""A call that is told of while it runs: longer than its row waits for others."""


def now_ms() -> int:
    return time.time_ns() // 1_000_000


async def submit(running: Installation, body: bytes, model: str = "small", **more: object) -> str:
    """Write a job's record as an ingress does; returns its id."""
    request_id = RequestId(str(uuid.uuid4()))
    record = RequestRecord(
        id=request_id,
        body=body,
        lane=LANE,
        endpoint=Endpoint.CHAT,
        model=ModelName(model),
        stream=b'"stream": true' in body,
        deadline_ms=now_ms() + 60_000,
        kind=Kind.JOB,
        reply=ReplyTo(running.topics.results, PARTITION),
    )
    for name, value in more.items():
        setattr(record, name, value)
    await running.produce(running.topics.requests(LANE), body, headers=encode(record, b"test"))
    return request_id


async def rows(running: Installation, request_id: str) -> list[Running | Terminal]:
    """What `status` tells of a request, once its terminal row is there; that comes last.

    Rows of running attempts leave through a producer of their own and may come behind it.
    """
    key = status_key(RequestRecord(id=RequestId(""), body=b"").tenant, RequestId(request_id))
    partition = status.indexed_partition(key)

    async def found() -> list[Running | Terminal]:
        mine = [r for r in await running.dump(running.topics.status) if r.key == key]
        assert {record.partition for record in mine} <= {partition}
        states = [status.decode(record.value or b"") for record in mine]
        done = [row for row in states if isinstance(row, Terminal)]
        return [row for row in states if isinstance(row, Running)] + done if done else []

    return await eventually(found, every_s=0.2)


async def of(running: Installation, topic: str, request_id: str) -> list[Record]:
    """The records of a request on a topic of answers."""
    every = await running.dump(topic)
    return [record for record in every if header(record, "ce_id") == request_id.encode()]


def answer_of(records: list[Record]) -> Reply:
    """A final, its parts put together."""
    parts = [replies.decode(record.value, record.headers) for record in records]
    parts[0].body = b"".join(part.body for part in parts)
    return parts[0]


async def test_the_final_of_a_job_stays_on_results_and_its_row_tells_where(
    running: Installation,
) -> None:
    body = chat("a job", user=LASTS)
    job = await submit(running, body)
    began, ended = await rows(running, job)
    (final,) = await of(running, running.topics.results, job)
    assert isinstance(began, Running)
    assert (began.attempt, began.deployment, began.chunks) == (1, "small", None)
    assert isinstance(ended, Terminal)
    assert (ended.outcome, ended.status, ended.code) == (Outcome.COMPLETED, 200, "")
    assert (ended.attempt, ended.attempts, ended.upstream) == (1, 1, "small")
    assert ended.result == (PARTITION, final.offset, 1)
    assert began.source.encode() == header(final, "ce_source")
    assert await of(running, running.topics.replies, job) == []


async def test_each_attempt_is_told_and_the_last_one_counts(running: Installation) -> None:
    job = await submit(running, chat("twice", user=f"fail=2x500;{LASTS}"))
    *began, ended = await rows(running, job)
    assert [row.attempt for row in began] == [1, 2, 3]
    assert isinstance(ended, Terminal)
    assert (ended.outcome, ended.attempt, ended.attempts) == (Outcome.COMPLETED, 3, 3)


async def test_a_streams_chunks_are_on_replies_and_its_final_is_whole(
    running: Installation,
) -> None:
    body = chat("a streamed job", stream=True, user=f"tokens=40;tps=80;{LASTS}")
    job = await submit(running, body, stream=True)
    states = await rows(running, job)
    ended = states[-1]
    final = answer_of(await of(running, running.topics.results, job))
    chunks = await of(running, running.topics.replies, job)
    first = chunks[0].partition, chunks[0].offset
    assert isinstance(ended, Terminal)
    assert [row.chunks for row in states if isinstance(row, Running)] == [None, first]
    assert chunks[0].partition == PARTITION
    assert (final.whole, final.seq) == (True, len(chunks) + 1)
    assert final.body.startswith(b"".join(record.value or b"" for record in chunks))
    assert final.body.endswith(b"data: [DONE]\n\n")


async def test_a_long_result_is_found_by_its_first_part(running: Installation) -> None:
    body = chat("a long job", user="fault=huge_line;huge_bytes=2000000")
    job = await submit(running, body)
    ended = (await rows(running, job))[-1]
    parts = await of(running, running.topics.results, job)
    assert isinstance(ended, Terminal)
    assert ended.result == (PARTITION, parts[0].offset, len(parts))
    assert len(parts) > 3


@pytest.mark.parametrize(
    ("user", "outcome", "code"),
    [
        ("status=400", Outcome.FAILED, ""),
        ("status=500", Outcome.DEAD_LETTERED, ""),
        ("fault=cut;after=3;tps=100", Outcome.FAILED, "upstream_stream_broken"),
    ],
)
async def test_a_job_that_fails_tells_how(
    running: Installation, user: str, outcome: Outcome, code: str
) -> None:
    stream = "cut" in user
    job = await submit(running, chat(user, stream=stream, user=user), stream=stream)
    ended = (await rows(running, job))[-1]
    final = answer_of(await of(running, running.topics.results, job))
    assert isinstance(ended, Terminal)
    assert (ended.outcome, ended.code) == (outcome, code)
    assert (final.outcome, final.status, final.whole) == (outcome, ended.status, False)


async def test_a_deadline_that_passed_is_told(running: Installation) -> None:
    job = await submit(running, chat("late"), deadline_ms=now_ms() - 1)
    (ended,) = await rows(running, job)
    assert isinstance(ended, Terminal)
    assert (ended.outcome, ended.attempts) == (Outcome.EXPIRED, 0)


async def test_a_job_that_cannot_be_read_is_told(running: Installation) -> None:
    job = await submit(running, chat("odd"), body_sha256="0" * 64)
    (ended,) = await rows(running, job)
    assert isinstance(ended, Terminal)
    assert (ended.outcome, ended.code) == (Outcome.DEAD_LETTERED, "unprocessable_record")


async def cancel(running: Installation, request_id: str) -> None:
    """As its owner does."""
    wish = Cancel(RequestId(request_id), now_ms() + 60_000)
    await running.produce(running.topics.control, b"", headers=encode_cancel(wish, b"test"))


async def test_a_cancelled_job_is_told(running: Installation) -> None:
    body = chat("long", user="latency=30000")
    job = await submit(running, body)
    await eventually(lambda: running.calls_with(body))
    await cancel(running, job)
    ended = (await rows(running, job))[-1]
    assert isinstance(ended, Terminal)
    assert (ended.outcome, ended.code) == (Outcome.CANCELLED, "cancelled")


@pytest.mark.parametrize("wait_ms", [1_000, 3_700])
async def test_a_request_is_not_sent_before_its_time(running: Installation, wait_ms: int) -> None:
    body = chat(f"in {wait_ms} ms")
    not_before_ms = now_ms() + wait_ms
    job = await submit(running, body, not_before_ms=not_before_ms)
    ended = (await rows(running, job))[-1]
    (call,) = running.calls(job)
    assert isinstance(ended, Terminal)
    assert (ended.outcome, ended.attempts) == (Outcome.COMPLETED, 1)
    assert call.received.received_at >= not_before_ms
    late_ms = call.received.received_at - not_before_ms
    assert ended.queue_ms < late_ms + wait_ms / 2  # what it was asked to wait is no queue


async def test_a_request_that_waits_for_its_time_can_be_cancelled(running: Installation) -> None:
    body = chat("never")
    job = await submit(running, body, not_before_ms=now_ms() + 20_000)
    delays = running.topics.delay(LANE, "10s")
    await running.read_matching(delays, lambda r: header(r, "ce_id") == job.encode())
    await cancel(running, job)
    (ended,) = await rows(running, job)
    assert isinstance(ended, Terminal)
    assert ended.outcome is Outcome.CANCELLED
    assert running.calls_with(body) == []


async def test_a_time_after_the_deadline_expires_at_once(running: Installation) -> None:
    now = now_ms()
    job = await submit(
        running, chat("too late"), not_before_ms=now + 50_000, deadline_ms=now + 40_000
    )
    (ended,) = await rows(running, job)
    assert isinstance(ended, Terminal)
    assert (ended.outcome, ended.code) == (Outcome.EXPIRED, "deadline_exceeded")
    assert now_ms() < now + 40_000
