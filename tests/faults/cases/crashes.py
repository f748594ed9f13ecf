"""Dispatchers that die at the worst moments, are replaced, or freeze."""

import asyncio
from collections import Counter, defaultdict
from dataclasses import replace

from faults.history.events import Way
from faults.history.target import Mix
from faults.rig.case import case
from faults.rig.fleet import Shape
from faults.rig.play import LIVENESS_S, MIXED, SYNC_ONLY, Play, now_ms
from faults.rig.timing import completed_per_s
from headrace.cli.mock.log import LoggedCall, Outcome
from headrace.schemas.config.kafka import Partitions
from support.installation import header

TAKEOVER_S = 12.0
STREAMS = 200
BEGUN = frozenset({"upstream_stream_broken"})
"""Of a stream whose first bytes have gone out: nothing is repeated then."""


def calls_by_id(play: Play) -> dict[str, list[LoggedCall]]:
    """The upstream's calls of each request."""
    by_id: defaultdict[str, list[LoggedCall]] = defaultdict(list)
    for call in play.calls():
        by_id[call.received.request_id].append(call)
    return dict(by_id)


def whole(call: LoggedCall) -> bool:
    """Whether the upstream gave its whole answer."""
    return call.finished is not None and call.finished.outcome is Outcome.ANSWERED


async def repeated_finals(play: Play) -> int:
    """Finals that stand in `replies` beyond the first of each request."""
    finals = [
        header(one, "ce_id")
        for one in await play.dump(play.topics.replies)
        if header(one, "headrace-final") == b"1"
    ]
    return len(finals) - len(set(finals))


@case("F18", "dispatcher kill -9 in the middle of calls", "P1 P3, takeover <= 12 s", smoke=True)
async def f18(play: Play) -> None:
    play.errors_allowed = BEGUN
    async with play.load(800, 100):
        await play.until_calls(200)
        at = await play.kill(play.fleet.dispatchers[0])
    play.recovers(play.last_end_s(at), TAKEOVER_S)


@case(
    "F19",
    "kill -9 after the upstream's 200, before the result is written",
    "one re-execution, under the same idempotency key",
    shape=Shape(arms={"dispatcher-1": "kill=before:final:20"}),
    smoke=True,
)
async def f19(play: Play) -> None:
    play.errors_allowed = BEGUN
    async with play.load(400, 80):
        at = await play.dies(play.fleet.dispatchers[0])
    play.recovers(play.last_end_s(at), TAKEOVER_S)
    twice = [calls for calls in calls_by_id(play).values() if len(calls) > 1]
    play.expect(any(whole(calls[0]) for calls in twice), "no answered call was repeated")
    play.expect(all(len(calls) == 2 for calls in twice), "a request was called more than twice")
    keys = [{call.received.idempotency_key for call in calls} for calls in twice]
    play.expect(all(len(mine) == 1 and "" not in mine for mine in keys), f"other keys: {keys}")


@case(
    "F20",
    "kill -9 after the result, before its offset is committed",
    "the duplicate is dropped and counted",
    shape=Shape(arms={"dispatcher-1": "kill=after:final:20"}),
    smoke=True,
)
async def f20(play: Play) -> None:
    async with play.load(400, 80, SYNC_ONLY):
        at = await play.dies(play.fleet.dispatchers[0])
    await play.settle()
    play.recovers(play.last_end_s(at), TAKEOVER_S)
    repeats = await repeated_finals(play)
    dropped = await play.metric(play.fleet.ingress[0], "headrace_duplicates_dropped_total")
    play.expect(repeats >= 1, "no result was written twice: the case showed nothing")
    play.expect(dropped == repeats, f"{repeats} repeated results, {dropped:g} counted as dropped")


@case(
    "F21",
    "kill -9 between the retry record and its commit",
    "one retry chain survives",
    shape=Shape(arms={"dispatcher-1": "kill=after:delay:5"}),
    smoke=True,
)
async def f21(play: Play) -> None:
    mix = replace(SYNC_ONLY, script="latency_ms=100;fail=1x429;retry_after=3")
    async with play.load(80, 40, mix):
        at = await play.dies(play.fleet.dispatchers[0])
    play.recovers(play.last_end_s(at), TAKEOVER_S + 5)
    calls = Counter(len(calls) for calls in calls_by_id(play).values())
    play.expect(calls == {2: 80}, f"calls a request: {dict(calls)}, not 2 of each")


@case(
    "F22",
    "SIGTERM with 200 streams open, once within the grace and once beyond it",
    "drained within the grace, then P11",
    shape=Shape(seats=256, overlay={"dispatcher": {"drain_s": 8}}, mock="sign=1"),
)
async def f22(play: Play) -> None:
    first, second = play.fleet.dispatchers
    short = Mix(ways={Way.STREAM: 1}, timeout_s=90, script="tokens=25;tokens_per_s=5")
    async with play.load(STREAMS, 100, short):
        await play.until_calls(STREAMS)
        first.terminate()
        play.expect(await first.wait() == 0, "it did not end with 0")
    play.expect(not play.failures(), "a stream within the grace was cut")
    await first.start()
    await first.ready()
    play.errors_allowed = BEGUN | {"shutting_down"}
    long = Mix(ways={Way.STREAM: 1}, timeout_s=90, script="tokens=90;tokens_per_s=5")
    async with play.load(STREAMS, 100, long):
        await play.until_calls(2 * STREAMS)
        with play.fault("abort", second.name):
            second.terminate()
            await second.wait()
    play.expect(len(play.failures()) > 0, "no stream was cut: the case showed nothing")


@case(
    "F23",
    "dispatcher SIGSTOP for twice the session time-out, then SIGCONT",
    "P13",
)
async def f23(play: Play) -> None:
    victim = play.fleet.dispatchers[0]
    async with play.load(1_200, 50):
        await play.until_calls(100)
        with play.fault("freeze", victim.name) as at:
            victim.freeze()
            await play.lasts(16)
            victim.thaw()
    play.recovers(play.last_end_s(at), LIVENESS_S)
    play.expect(victim.running, "it ended after SIGCONT")


@case(
    "F24",
    "rebalance storm: one of 8 leaves or joins every 2 s, for 60 s",
    "P1 P2, 0 re-executions, throughput >= 70 %",
    shape=Shape(
        dispatchers=8,
        seats=1,
        mock="latency_ms=200;sign=1",
        # As many as by default: of 8, one of 7 would own two, which halves what they are worth.
        overlay={"kafka": {"partitions": {"requests": Partitions().requests}}},
    ),
    limit_s=300,
)
async def f24(play: Play) -> None:
    # So many that no partition runs empty while others still have work: keys spread unevenly.
    mix = replace(MIXED, at_most=250)
    async with play.load(14_000, 200, mix) as load:
        await play.until_calls(200)
        before = await throughput(play, 10)
        began = now_ms()
        for turn in range(30):
            who = play.fleet.dispatchers[(turn // 2) % 8]
            pause = asyncio.create_task(play.lasts(2))
            if turn % 2:
                await who.start()
            else:
                who.terminate()
                play.expect(await who.wait() == 0, f"{who.name} did not end with 0")
            await pause
        storm = completed_per_s(play.events, began, now_ms())
        normal = (before + await throughput(play, 10)) / 2
        load.enough()
    play.measured += [
        ("throughput in the storm", storm, "requests/s"),
        ("throughput without it", normal, "requests/s"),
    ]
    play.in_time(storm >= 0.7 * normal, f"{storm / normal:.1%} of the throughput")
    again = [calls for calls in calls_by_id(play).values() if len(calls) > 1]
    play.expect(not again, f"{len(again)} requests were called more than once")


async def throughput(play: Play, seconds: float) -> float:
    """Requests completed a second in the next `seconds`."""
    began = now_ms()
    await play.lasts(seconds)
    return completed_per_s(play.events, began, now_ms())


@case(
    "F25",
    "the event loop of a dispatcher is blocked for 30 s",
    "P13",
    shape=Shape(arms={"dispatcher-1": "block_s=30"}),
)
async def f25(play: Play) -> None:
    victim = play.fleet.dispatchers[0]
    async with play.load(1_600, 40):
        await play.until_calls(80)
        with play.fault("freeze", victim.name) as at:
            victim.block()
            await play.lasts(30)
    play.recovers(play.last_end_s(at), LIVENESS_S)
    play.expect(victim.running, "it ended after the block")
