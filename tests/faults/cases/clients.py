"""Clients that leave, read slowly, or whose answers cannot be delivered."""

import asyncio
import contextlib

import aiohttp

from faults.history.events import Way
from faults.history.target import Mix
from faults.rig.case import case
from faults.rig.fleet import Shape
from faults.rig.play import Play, now_ms, rss_mb
from headrace.cli.mock.log import Outcome
from support.installation import chat

DISCONNECTS = 20
CANCELLED_MS = 1_000
BACKLOG = 1_048_576
GROWTH_MB = 64


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


@case(
    "F49",
    "a producer's reply topic is unwritable for 60 s",
    "no commit past unanswered records, other partitions go on",
)
async def f49(play: Play) -> None:
    own = await play.topic(f"{play.topics.prefix}own.blocked", 1)
    lane = play.topics.requests("standard")
    await play.require_copies(own, 2)
    headers = {"reply-topic": own.encode(), "headrace-tenant": b"ann"}
    places = [
        await play.produce(lane, chat(f"blocked {n}"), headers=headers, partition=0)
        for n in range(5)
    ]
    first = min(offset for _, offset in places)
    with play.fault("unwritable", own):
        async with play.load(900, 15, Mix(ways={Way.SYNC: 3, Way.STREAM: 1}, timeout_s=30)):
            for _ in range(30):
                await play.lasts(2)
                done = (await play.committed()).get(0, 0)
                play.expect(done <= first, f"committed {done}, beyond unanswered offset {first}")
        await play.require_copies(own, 1)
    at = now_ms()
    answers = await play.read(own, len(places), within_s=60)
    play.recovers((max(one.timestamp for one in answers) - at) / 1000)
