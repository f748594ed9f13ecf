"""The governor where there is room: what it costs when idle (G12), what a request waits (G7), when grants go
on after its death (G4), and what becomes of a dispatcher's credits when that dies (G5).
"""

import asyncio
from collections.abc import Awaitable, Callable

from benchmarks.governor.site import Limited, Site, now_ms, until
from benchmarks.governor.traffic import Demand, Seen, Traffic
from benchmarks.harness.stacks import StackFailed
from benchmarks.harness.usage import read_usage
from benchmarks.load.jobs import Quantiles, quantiles
from benchmarks.report.rows import Row, at_most, figure, spread
from headrace.cli.progress import Reporter
from headrace.schemas.limits import End, Epoch

HALF = Limited("half", 600)
FREE = Limited("free")
"""Without limits: nobody is asked."""
PER_S = 5.0
"""Half of the limit."""
WARM_S = 10.0
DEADLINE_S = 30
TAKEOVER_S = 120.0
IDLE_BAR = 1.5
RECORDS_BAR = 100.0
P50_BAR_MS = 5.0
"""Nothing, as near as two clocks of whole milliseconds and the noise of two cores tell."""
P99_BAR_MS = 100.0
G5_BAR_S = 11.0
G4_BAR_S = 3.0
KILLS = 3
REST_S = 4.0
"""Between a new owner and its end."""


async def measure_idle(site: Site, reporter: Reporter, seconds: float) -> list[Row]:
    """Nothing is sent at all."""
    reporter.say(f"idle: {seconds:.0f} s without any request")
    owner, since_ms = await site.owner(), now_ms()
    before = read_usage({"owner": owner.pid})["owner"].cpu_s
    await asyncio.sleep(seconds)
    spent_s = read_usage({"owner": owner.pid})["owner"].cpu_s - before
    share, records = spent_s / seconds * 100, site.watch.per_s(since_ms, now_ms())
    return [
        at_most("G12", "CPU of the owner, idle", share, "% of a core", IDLE_BAR, judged=True),
        figure("G12.idle", "records of both topics, idle", records, "/s"),
    ]


async def measure_waits(site: Site, reporter: Reporter, seconds: float) -> list[Row]:
    """Requests with and without a limit side by side, at half of what it allows."""
    reporter.say(f"wait: {seconds:.0f} s at half of the limit, beside a model without one")
    async with Traffic(site.stack.ingress_url, site.keys) as traffic:
        await _both(traffic, WARM_S, seed=11)
        limited, free = await _both(traffic, seconds, seed=13)
    with_it, without = _waits(site, HALF, limited), _waits(site, FREE, free)
    judged = min(with_it.count, without.count) >= 100
    added = f"from the client to the upstream, more than without a limit ({with_it.count} requests)"
    return [
        at_most("G7", f"p50 {added}", with_it.p50 - without.p50, "ms", P50_BAR_MS, judged=judged),
        at_most("G7", f"p99 {added}", with_it.p99 - without.p99, "ms", P99_BAR_MS, judged=judged),
        figure(
            "G7.limited", "from the client to the upstream with a limit, p50", with_it.p50, "ms"
        ),
        figure("G7.limited", "the same, p99", with_it.p99, "ms"),
        figure(
            "G7.free", "from the client to the upstream without a limit, p50", without.p50, "ms"
        ),
        figure("G7.free", "the same, p99", without.p99, "ms"),
    ]


async def measure_takeover(site: Site, reporter: Reporter) -> list[Row]:
    """Owners are killed while there is always something to grant."""
    reporter.say(f"takeover: the owner is killed {KILLS} times at half of the limit")
    took_s: list[float] = []
    async with Traffic(site.stack.ingress_url, site.keys) as traffic:
        sending = asyncio.create_task(_both(traffic, TAKEOVER_S, seed=23))
        await asyncio.sleep(WARM_S)
        for _ in range(KILLS):
            owner, epoch = await site.owner(), site.watch.epoch
            at_ms = await site.kill(owner)
            given_ms = await until(_first_given(site, at_ms, epoch), "a new owner gave nothing")
            took_s.append((given_ms - at_ms) / 1000)
            reporter.say(f"takeover: granted again after {took_s[-1]:.2f} s")
            await site.start_again(owner)
            await asyncio.sleep(REST_S)
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
    what = f"kill -9 of the owner until the next new grant, the worst of {KILLS} ({spread(took_s)})"
    return [at_most("G4", what, max(took_s), "s", G4_BAR_S, judged=True)]


def _first_given(site: Site, since_ms: int, above: Epoch) -> Callable[[], Awaitable[int | None]]:
    async def given() -> int | None:
        return site.watch.first_given(since_ms, above)

    return given


async def measure_dispatcher(site: Site, reporter: Reporter) -> list[Row]:
    """One dies while it holds credits: at half load each has some in reserve."""
    reporter.say("dispatcher: one is killed while it holds credits")
    victim = site.stack.dispatchers[-1]
    async with Traffic(site.stack.ingress_url, site.keys) as traffic:
        sending = asyncio.create_task(_both(traffic, 2 * WARM_S, seed=17))
        await asyncio.sleep(WARM_S)
        at_ms = await site.kill(victim)
        ended_ms, held = await _until_ended(site, at_ms)
        await sending
    await site.start_again(victim)
    took_s = (ended_ms - at_ms) / 1000
    what = f"kill -9 of a dispatcher until its credits were taken back (it held {held})"
    return [at_most("G5", what, took_s, "s", G5_BAR_S, judged=held > 0)]


async def _both(traffic: Traffic, seconds: float, *, seed: int) -> tuple[Seen, Seen]:
    limited, free = await asyncio.gather(
        traffic.send(Demand(HALF.name, PER_S, seconds, DEADLINE_S, seed=seed)),
        traffic.send(Demand(FREE.name, PER_S, seconds, DEADLINE_S, seed=seed + 1)),
    )
    return limited, free


def _waits(site: Site, model: Limited, seen: Seen) -> Quantiles:
    """From each client's sending to the upstream's receipt."""
    times = {one.received.body_sha256: one.received.received_at for one in site.calls(model.name)}
    waits = [float(times[body] - sent) for body, sent in seen.sent_ms.items() if body in times]
    found = quantiles(waits)
    if found is None or len(waits) < len(seen.sent_ms):
        raise StackFailed(f"{len(seen.sent_ms) - len(waits)} requests never came to the upstream")
    return found


async def _until_ended(site: Site, since_ms: int) -> tuple[int, int]:
    """When a session was ended that had credits in hand, and how many."""

    async def ended() -> tuple[int, End] | None:
        return site.watch.ended(since_ms)

    ended_ms, end = await until(ended, "no session with credits in hand was ended")
    return ended_ms, sum(units.requests for _, units in end.residual)
