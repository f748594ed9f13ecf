"""Upstreams that refuse the key or the account, and upstreams that fail altogether for a minute."""

import asyncio
from dataclasses import replace
from itertools import pairwise

from faults.rig.case import case
from faults.rig.fleet import Shape
from faults.rig.play import SYNC_ONLY, Play, now_ms
from headrace.schemas.breakers import State, Transition, Why, decode
from support.installation import chat

REFUSALS = {
    "quota": "status=429;code=insufficient_quota",
    "limit": "status=429;code=billing_hard_limit_reached",
    "credit": "status=429;code=credit_balance_exhausted",
    "key": "status=401",
    "money": "status=402",
}
"""Model -> what its upstream says."""
IN_A_ROW = 3
PER_S = 20
OUTAGE = ("500", "503", "529")
EACH_S = 20.0
KNOWN_MS = 1_000
"""From the row on `breakers` until the last call that was on its way has come."""
MOST_FAILED = 60
MOST_PROBES = 3


async def moves(play: Play, deployment: str) -> list[tuple[int, Transition]]:
    """What its breaker went through, with the broker's times."""
    read = [
        (one.timestamp, decode(one.value or b"")) for one in await play.dump(play.topics.breakers)
    ]
    return [
        (at, one)
        for at, one in read
        if isinstance(one, Transition) and one.deployment == deployment
    ]


async def has_been(play: Play, deployment: str, state: State, since: int = 0) -> bool:
    """Whether it went to that state at `since` (epoch ms) or later."""
    told = await moves(play, deployment)
    return any(one.after is state for at, one in told if at >= since)


@case(
    "F35",
    "429s that no waiting mends, 401, 402",
    "one call each, the answer passed on; the deployment is marked, and called no more",
    shape=Shape(models=tuple(REFUSALS), governors=1, mock="latency_ms=20"),
)
async def f35(play: Play) -> None:
    for model, script in REFUSALS.items():
        status = int(script.removeprefix("status=")[:3])
        bodies = [chat(f"{model} {n}", model, user=script) for n in range(IN_A_ROW)]
        for body in bodies:
            answer = await play.ask(body)
            calls = len(play.calls_with(body))
            play.expect(answer.status == status, f"{model}: status {answer.status}, not {status}")
            play.expect(calls == 1, f"{model}: {calls} calls for one request")
    for model in REFUSALS:
        await play.until_true(lambda model=model: has_been(play, model, State.OPEN), 15)
        told = [one for _, one in await moves(play, model) if one.after is State.OPEN]
        play.expect(told[0].why is Why.CREDENTIAL, f"{model}: opened for {told[0].why}")
    late = [chat(f"{model} late", model, user=script) for model, script in REFUSALS.items()]
    answers = await asyncio.gather(*(play.ask(body, headrace_timeout="4") for body in late))
    codes = {answer.status for answer in answers}
    play.expect(codes == {503}, f"requests for marked deployments got {codes}")
    play.expect(all(b"upstream_unavailable" in one.body for one in answers), "another code")
    called = [body for body in late if play.calls_with(body)]
    play.expect(not called, f"{len(called)} marked deployments were called")


@case(
    "F36",
    "the only upstream answers 500, then 503, then 529, for 60 s together",
    "open <= 3 s, <= 60 failed calls, <= 1 % of the load while open, <= 3 probes a round, all answered",
    shape=Shape(governors=2, dispatchers=4, mock="latency_ms=50;sign=1"),
    limit_s=420,
)
async def f36(play: Play) -> None:
    patient = replace(SYNC_ONLY, timeout_s=240.0, at_most=10_000)
    async with play.load(300 * PER_S, PER_S, patient) as load:
        await play.until_calls(5 * PER_S)
        began = await answer_with(play, f"latency_ms=5;status={OUTAGE[0]}")
        await play.lasts(EACH_S)
        for status in OUTAGE[1:]:
            await answer_with(play, f"latency_ms=5;status={status}")
            await play.lasts(EACH_S)
        over = await answer_with(play, play.fleet.shape.mock)
        await play.until_true(lambda: has_been(play, "small", State.CLOSED, over), 150)
        load.enough()
    await judge(play, began, over)


async def answer_with(play: Play, script: str) -> int:
    """The upstream is started anew with another script; when it was, in epoch ms."""
    with play.fault("script", script):
        # Calls that it does not end are made again.
        play.more_allowed += sum(call.finished is None for call in play.calls())
        await play.fleet.mock.stop()
        play.fleet.mock.change(("--script", script))
        await play.fleet.mock.start()
        await play.fleet.mock.ready()
    return now_ms()


async def judge(play: Play, began: int, over: int) -> None:
    """By the upstream's own log, and the breaker's history."""
    told = [(at, one) for at, one in await moves(play, "small") if at >= began - KNOWN_MS]
    opened = [at for at, one in told if one.after is State.OPEN]
    calls = [one.received.received_at for one in play.calls()]
    failed = [one for one in play.calls() if one.finished and one.finished.status >= 500]
    play.expect(len(failed) <= MOST_FAILED, f"{len(failed)} calls failed")
    play.in_time(opened[0] - began <= 3_000, f"opened after {opened[0] - began} ms")
    play.expect(not [at for at in opened if at > over + KNOWN_MS], "it tripped again afterwards")
    for (at, one), (until, _) in pairwise(told):
        within = sum(at + KNOWN_MS <= call < until for call in calls)
        if one.after is State.OPEN:
            load = PER_S * (until - at) / 1000
            play.expect(within <= load / 100, f"{within} calls while it was open")
        elif one.after is State.HALF_OPEN:
            within = sum(at <= call < until for call in calls)
            play.expect(within <= MOST_PROBES, f"{within} probes in a round")
    closed = next(at for at, one in told if one.after is State.CLOSED and at >= over)
    play.recovers((closed - over) / 1000, 150)
