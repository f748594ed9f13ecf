"""More than there is room for: requests, files, a backlog."""

import asyncio
import contextlib
import resource
from dataclasses import replace
from pathlib import Path

from faults.rig.case import case
from faults.rig.fleet import Shape
from faults.rig.play import SYNC_ONLY, Play, now_ms, rss_mb
from faults.rig.timing import completed_per_s
from support.eventually import eventually
from support.installation import chat

CONNECTIONS = 300
SPARE_FILES = 40
QUEUED = 100_000
MEMORY_MB = 200
CAPACITY = 20
"""Requests a second that the upstream takes in F47."""
SHED = frozenset({"deadline_exceeded", "queue_full", "wait_too_long"})


@case(
    "F26",
    "file descriptors run out, then more requests wait than there is room for",
    "P10: 429 or 503 with Retry-After, recovers",
    shape=Shape(mock="latency_ms=3000;sign=1", overlay={"ingress": {"max_waiters": 100}}),
)
async def f26(play: Play) -> None:
    (ingress,) = play.fleet.ingress
    host, port = play.fleet.url(ingress).removeprefix("http://").split(":")
    files = len(list(Path(f"/proc/{ingress.pid}/fd").iterdir()))
    before = ingress.bound(resource.RLIMIT_NOFILE, files + SPARE_FILES)
    opened = await asyncio.gather(
        *(asyncio.open_connection(host, int(port)) for _ in range(CONNECTIONS)),
        return_exceptions=True,
    )
    await play.lasts(2)
    play.expect(ingress.running, "the ingress ended without file descriptors")
    for one in opened:
        if not isinstance(one, BaseException):
            one[1].close()
    ingress.bound(resource.RLIMIT_NOFILE, before[0])
    at = now_ms()
    await eventually(lambda: served(play), within_s=20, every_s=0.2)
    play.recovers((now_ms() - at) / 1000)
    answers = await asyncio.gather(*(play.ask(chat(f"waits {n}")) for n in range(200)))
    statuses = {answer.status for answer in answers}
    play.expect(statuses == {200, 429}, f"clients got {statuses}")
    play.expect(await served(play), "it serves no more after the crowd")


async def served(play: Play) -> bool:
    """Whether a request goes through."""
    with contextlib.suppress(OSError, TimeoutError):
        return (await play.ask(chat("anybody there?", user="latency_ms=1"))).status == 200
    return False


@case(
    "F47",
    "10 times the capacity for 60 s, then everybody who failed comes again",
    "goodput >= 80 % of capacity, drains after",
    shape=Shape(
        seats=1,
        mock="latency_ms=100;sign=1",
        overlay={"lanes": {"standard": {"deadline_s": 10, "longest_s": 60}}},
    ),
    # An aborted call's end reaches the upstream after the beginning of the next.
    seats_checked=False,
    limit_s=300,
)
async def f47(play: Play) -> None:
    play.errors_allowed = SHED
    storm = replace(SYNC_ONLY, at_most=20_000)
    began = now_ms()
    async with play.load(60 * 10 * CAPACITY, 10 * CAPACITY, storm):
        await play.until(lambda: now_ms() - began > 60_000, 90)
        good = completed_per_s(play.events, began, now_ms())
    play.expect(good >= 0.8 * CAPACITY, f"goodput {good:.1f}/s of {CAPACITY}/s in the flood")
    again = len(play.failures())
    began = now_ms()
    async with play.load(min(again, 4_000), 20 * CAPACITY, replace(storm, seed=2)):
        pass
    play.expect(again > 0, "nobody was shed: the case showed nothing")
    at = now_ms()
    calm = replace(SYNC_ONLY, seed=3)
    before = len(play.failures())
    async with play.load(50, CAPACITY / 4, calm):
        pass
    play.expect(len(play.failures()) == before, "requests still fail after the storm")
    play.recovers(play.first_ok_s(at))


@case(
    "F48",
    "a dispatcher restarts with 100,000 requests queued",
    "all answered, memory flat",
    shape=Shape(dispatchers=1, seats=64, mock=""),
    limit_s=600,
)
async def f48(play: Play) -> None:
    (dispatcher,) = play.fleet.dispatchers
    dispatcher.terminate()
    await dispatcher.wait()
    own = await play.topic(f"{play.topics.prefix}own.queued", 4)
    await play.produce_many(play.topics.requests("standard"), QUEUED, own)
    await dispatcher.start()
    await dispatcher.ready()
    most = 0.0

    async def drained() -> bool:
        nonlocal most
        most = max(most, rss_mb(dispatcher))
        return await play.behind() == 0

    await eventually(drained, within_s=500, every_s=1)
    answered = sum((await play.ends(own)).values())
    play.expect(answered == QUEUED, f"{answered} answers to {QUEUED} requests")
    called = len(play.calls())
    play.expect(called == QUEUED, f"{called} calls for {QUEUED} requests")
    play.expect(most <= MEMORY_MB, f"the dispatcher took {most:.0f} MB")
