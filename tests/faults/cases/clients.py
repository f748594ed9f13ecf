"""Clients that leave, read slowly, or whose answers cannot be delivered."""

import asyncio
import contextlib

import aiohttp
from aiokafka.admin import NewTopic
from aiokafka.errors import KafkaError

from faults.history.events import Way
from faults.history.target import Mix
from faults.rig.case import case
from faults.rig.fleet import Shape
from faults.rig.play import Play, now_ms, rss_mb
from headrace.cli.mock.log import Outcome
from support.installation import chat

REPEATS = 40
OPEN = 200
RECOVERED = 0.999
DISCONNECTS = 20
CANCELLED_MS = 1_000
BACKLOG = 1_048_576
GROWTH_MB = 64


@case(
    "F30",
    "one id with one body many times, and with another body",
    "one call; idempotency_mismatch",
    shape=Shape(ingress=2, mock="latency_ms=500;sign=1"),
)
async def f30(play: Play) -> None:
    body = chat("paid once")
    answers = await asyncio.gather(
        *(play.ask(body, ingress=n % 2, idempotency_key="one") for n in range(REPEATS))
    )
    statuses = {answer.status for answer in answers}
    play.expect(statuses == {200}, f"repeats got {statuses}")
    play.expect(len({answer.body for answer in answers}) == 1, "repeats got different answers")
    calls = len(play.calls_with(body))
    play.expect(calls == 1, f"{calls} calls for one key")
    other = await play.ask(chat("something else"), ingress=1, idempotency_key="one")
    mismatch = other.status == 422 and b"idempotency_mismatch" in other.body
    play.expect(mismatch, f"another body got {other.status} {other.body[:100]!r}")
    own = await play.topic(f"{play.topics.prefix}own.twice")
    headers = {"reply-topic": own.encode(), "headrace-tenant": b"ann", "ce_id": b"twice"}
    lane, record = play.topics.requests("standard"), chat("written twice")
    for _ in range(2):
        await play.produce(lane, record, headers=headers, partition=0)
    await play.settle()
    calls = len(play.calls_with(record))
    play.expect(calls == 1, f"{calls} calls for one id written twice to a lane")


@case(
    "F42",
    "an ingress is killed with -9 while 200 requests and 200 streams are open",
    ">= 99.9 % recovered by key on the other replica",
    shape=Shape(ingress=2, seats=256, mock="sign=1"),
)
async def f42(play: Play) -> None:
    bodies = [chat(f"open {n}", user="latency_ms=8000") for n in range(OPEN)]
    streams = "tokens=24;tokens_per_s=3"
    bodies += [chat(f"stream {n}", stream=True, user=streams) for n in range(OPEN)]
    asking = [
        asyncio.create_task(play.ask(body, idempotency_key=f"open-{n}"))
        for n, body in enumerate(bodies)
    ]
    await play.until_calls(len(bodies))
    at = await play.kill(play.fleet.ingress[0])
    broken = await asyncio.gather(*asking, return_exceptions=True)
    lost = sum(isinstance(one, BaseException) for one in broken)
    play.expect(lost > 0, "no connection broke: the case showed nothing")
    again = await asyncio.gather(
        *(play.ask(body, ingress=1, idempotency_key=f"open-{n}") for n, body in enumerate(bodies))
    )
    play.recovers((now_ms() - at) / 1000, 30)
    whole = sum(
        one.status == 200 and (b"[DONE]" in one.body or n < OPEN) for n, one in enumerate(again)
    )
    play.expect(whole >= RECOVERED * len(bodies), f"{whole} of {len(bodies)} recovered")
    calls = len(play.calls())
    play.expect(calls == len(bodies), f"{calls} calls for {len(bodies)} requests")


@case(
    "F43",
    "clients disconnect in the middle of a stream",
    "the upstream call is cancelled <= 1 s",
    shape=Shape(mock=""),
    smoke=True,
)
async def f43(play: Play) -> None:
    bodies = [
        chat(f"leaves {n}", stream=True, user="tokens=600;tokens_per_s=20")
        for n in range(DISCONNECTS)
    ]
    left_at = await asyncio.gather(*(leave(play, body) for body in bodies))
    for body, at in zip(bodies, left_at, strict=True):
        await play.until(lambda body=body: all(one.finished for one in play.calls_with(body)), 10)
        (call,) = play.calls_with(body)
        assert call.finished is not None
        late_ms = call.finished.finished_at - at
        cut = call.finished.outcome is Outcome.CLIENT_DISCONNECTED
        play.expect(cut, f"its call ended as {call.finished.outcome}")
        play.expect(late_ms <= CANCELLED_MS, f"its call was cancelled after {late_ms} ms")


async def leave(play: Play, body: bytes) -> int:
    """Read a little of a stream and go; when that was."""
    async with play.open(body) as response:
        await response.content.readany()
        at = now_ms()
        response.close()
    return at


@case(
    "F44",
    "a client reads its stream too slowly",
    "bounded buffer, then cut; others unaffected",
    shape=Shape(mock="", dispatchers=1),
    smoke=True,
)
async def f44(play: Play) -> None:
    (ingress,) = play.fleet.ingress
    before = rss_mb(ingress)
    body = chat("too much", stream=True, user="tokens=200000;tokens_per_s=50000")
    async with play.open(body) as response:
        await response.content.readany()
        response.connection.transport.pause_reading()  # type: ignore[union-attr]
        others = Mix(ways={Way.STREAM: 1}, timeout_s=20, script="tokens=20;tokens_per_s=40")
        async with play.load(100, 25, others):
            await play.until(lambda: all(one.finished for one in play.calls_with(body)))
        growth = rss_mb(ingress) - before
        response.connection.transport.resume_reading()  # type: ignore[union-attr]
        rest = b""
        with contextlib.suppress(aiohttp.ClientError):
            rest = await response.content.read()
    play.expect(b"[DONE]" not in rest, "it got the whole stream: it was not slow enough")
    play.expect(growth <= GROWTH_MB, f"the ingress grew by {growth:.0f} MB")
    (call,) = play.calls_with(body)
    cut = call.finished is not None and call.finished.outcome is Outcome.CLIENT_DISCONNECTED
    play.expect(cut, "its upstream call was not cancelled")


async def is_alone(play: Play, topic: str) -> bool:
    """Whether one copy of it is left in sync, and every lane has its leaders."""
    try:
        async with play.admin() as admin:
            described = await admin.describe_topics([topic, play.topics.requests("standard")])
    except KafkaError:
        return False  # the broker that was asked is the killed one
    copies = [
        part["isr"] for one in described if one["topic"] == topic for part in one["partitions"]
    ]
    leaders = [part["leader"] for one in described for part in one["partitions"]]
    return [len(isr) for isr in copies] == [1] and min(leaders) >= 0


@case(
    "F49",
    "a producer's reply topic is unwritable for 60 s",
    "no commit past unanswered records, other partitions go on",
    brokers=3,
)
async def f49(play: Play) -> None:
    kept, killed = play.cluster.brokers[0], play.cluster.brokers[1]
    own = f"{play.topics.prefix}own.blocked"
    places = {0: [kept.number, killed.number]}
    both = {"min.insync.replicas": "2", "message.timestamp.type": "LogAppendTime"}
    async with play.admin() as admin:
        topic = NewTopic(own, -1, -1, replica_assignments=places, topic_configs=both)
        await admin.create_topics([topic])
    headers = {"reply-topic": own.encode(), "headrace-tenant": b"ann"}
    lane = play.topics.requests("standard")
    with play.fault("unwritable", killed.name):
        await killed.kill()
        # Until it is out of the copies in sync, a record may still pass as written.
        await play.until_true(lambda: is_alone(play, own), 30)
        blocked = [
            await play.produce(lane, chat(f"blocked {n}"), headers=headers, partition=0)
            for n in range(5)
        ]
        first, done = min(offset for _, offset in blocked), 0
        async with play.load(900, 15, Mix(ways={Way.SYNC: 3, Way.STREAM: 1}, timeout_s=40)):
            for _ in range(30):
                await play.lasts(2)
                done = max(done, (await play.committed()).get(0, 0))
        at = now_ms()
        await play.cluster.start()
    play.expect(done <= first, f"committed {done}, beyond unanswered offset {first}")
    answers = await play.read(own, len(blocked), within_s=60)
    early = [one for one in answers if one.timestamp < at]
    play.expect(not early, "the topic could be written: the case showed nothing")
    play.recovers((max(one.timestamp for one in answers) - at) / 1000, 30)
