"""Limits by the minute while clocks are wrong, and while the governor freezes, dies and forgets."""

import asyncio
from dataclasses import replace

from faults.cases.upstreams import CLOCK_MS
from faults.rig.case import case
from faults.rig.fleet import Shape
from faults.rig.play import HTTP_ONLY, Play, now_ms
from faults.rig.process import Process
from headrace.cli.mock.log import LoggedCall
from support.call_log import waits_ms
from support.installation import chat

WINDOW_MS = 60_000
LIMIT = 120
ENFORCED = f"requests_per_minute={LIMIT}"
"""The upstream's own limit on the model `small`."""
LIMITED = {"small": {"requests_per_minute": LIMIT}}
CLOCKS = {
    "dispatcher-1": "clock_s=3600",
    "dispatcher-2": "clock_s=-3600",
    "dispatcher-3": "clock_s=90",
    "governor-1": "clock_s=-90",
    "ingress-1": "clock_s=90",
}
ASKED_MS = 3_000
FORGET_S = 75
"""Window and validity: for so long an owner grants nothing that cannot know what was granted."""


def of_model(play: Play, model: str) -> list[LoggedCall]:
    """The upstream's own log of one model."""
    return [call for call in play.calls() if call.received.model == model]


def expect_kept(play: Play) -> None:
    """P5, by the upstream's own log: it refused nothing, and no window holds more than the limit."""
    calls = of_model(play, "small")
    refused = [one for one in calls if one.finished and one.finished.status == 429]
    play.expect(not refused, f"the upstream refused {len(refused)} calls of {len(calls)}")
    times = [one.received.received_at for one in calls]
    most = max(sum(at - WINDOW_MS < one <= at for one in times) for at in times)
    play.expect(most <= LIMIT, f"{most} calls within 60 s, {LIMIT} are allowed")


async def owner(play: Play) -> Process | None:
    """The governor that grants, if there is one."""
    for one in play.fleet.governors:
        if one.running and await play.metric(one, "headrace_governor_owner") == 1:
            return one
    return None


async def other_than(play: Play, former: Process) -> Process:
    """Wait until another governor grants."""
    async with asyncio.timeout(30):
        (successor,) = [one for one in play.fleet.governors if one is not former]
        await play.until_true(lambda: owns(play, successor), 30)
    return successor


async def owns(play: Play, one: Process) -> bool:
    """Whether it grants."""
    return await play.metric(one, "headrace_governor_owner") == 1


@case(
    "F27",
    "wall clocks of dispatchers one hour ahead and one hour behind, 90 s of skew elsewhere",
    "P5, P6, no wrong expiry",
    shape=Shape(
        dispatchers=4,
        governors=2,
        models=("small", "other"),
        limits=LIMITED,
        mock="latency_ms=50;sign=1",
        arms=CLOCKS,
    ),
)
async def f27(play: Play) -> None:
    limited = replace(HTTP_ONLY, script=ENFORCED)
    asks = [chat(f"{n}", "other", user=f"fail=1x503;retry_after_ms={ASKED_MS}") for n in range(24)]
    never = [chat(f"never {n}", "other", user="latency_ms=30000") for n in range(12)]
    # An ingress knows the broker's time from its first acknowledged record on.
    await play.ask(chat("first", "other"))
    async with play.load(180, 4, limited):
        answers, late = await asyncio.gather(
            asyncio.gather(*(play.ask(body) for body in asks)),
            asyncio.gather(*(play.ask(body, headrace_timeout="6") for body in never)),
        )
    expect_kept(play)
    statuses = {answer.status for answer in answers}
    play.expect(statuses == {200}, f"those that were to be repeated got {statuses}")
    waits = [wait for body in asks for wait in waits_ms(play.calls_with(body))]
    play.expect(len(waits) == len(asks), f"{len(waits)} of {len(asks)} were called twice")
    early = [wait for wait in waits if wait < ASKED_MS - CLOCK_MS]
    play.expect(not early, f"called again after {early} ms, {ASKED_MS} were asked for")
    statuses = {answer.status for answer in late}
    play.expect(statuses == {504}, f"requests beyond their deadline got {statuses}")
    soon = min(answer.took_s for answer in late)
    play.expect(soon >= 6 - CLOCK_MS / 1000, f"one of 6 s was given up after {soon:.2f} s")
    last = max(answer.took_s for answer in late)
    play.in_time(last <= 9, f"one of 6 s was given up only after {last:.2f} s")


@case(
    "F31",
    "the governor is frozen and wakes as a zombie, is killed, loses its log",
    "P5: never an over-grant",
    shape=Shape(
        dispatchers=3,
        governors=2,
        limits=LIMITED,
        mock=f"latency_ms=50;sign=1;{ENFORCED}",
    ),
    limit_s=360,
)
async def f31(play: Play) -> None:
    patient = replace(HTTP_ONLY, timeout_s=200.0)
    async with play.load(3 * LIMIT, 4, patient):
        await play.until_calls(LIMIT // 3)
        zombie = await owner(play)
        assert zombie is not None
        with play.fault("freeze", zombie.name):
            zombie.freeze()
            successor = await other_than(play, zombie)
            zombie.thaw()
        await play.until_calls(LIMIT * 2 // 3)
        await play.kill(successor)
        await other_than(play, successor)
        await successor.start()
        await play.until_calls(LIMIT)
        at = await forget(play)
        await play.until(lambda: calls_since(play, at), FORGET_S + 60)
    play.recovers((min(calls_since(play, at)) - at) / 1000, FORGET_S)
    expect_kept(play)


async def forget(play: Play) -> int:
    """All governors die and their log is gone; they come back to an empty one.

    When one of them owns the limits, in epoch ms.
    """
    grants = play.topics.limit_grants
    for one in play.fleet.governors:
        await play.kill(one)
    with play.fault("delete-topic", grants):
        async with play.admin() as admin:
            await admin.delete_topics([grants])
        await play.until_true(lambda: made_anew(play), 30)
    for one in play.fleet.governors:
        await one.start()
    await asyncio.gather(*(one.ready() for one in play.fleet.governors))

    async def owned() -> bool:
        return await owner(play) is not None

    await play.until_true(owned, 30)
    return now_ms()


async def made_anew(play: Play) -> bool:
    """A deleted topic lingers for a moment: its name is free again after it."""
    await play.fleet.apply_topics()
    return not any((await play.ends(play.topics.limit_grants)).values())


def calls_since(play: Play, at: int) -> list[int]:
    """When the upstream was called since then."""
    times = (call.received.received_at for call in of_model(play, "small"))
    return [one for one in times if one > at]
