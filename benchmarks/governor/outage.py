"""An upstream fails altogether for a minute: what the breakers let through (G9), repeats among it (G11).

One of ten deployments of a model that two tenants use, and at the same time the only deployment of another
model. Both fail at once and work again at once; the failing upstreams count every call themselves.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from itertools import pairwise

from benchmarks.governor.site import LATENCY_MS, Limited, Site, now_ms, until
from benchmarks.governor.traffic import Demand, Seen, Traffic
from benchmarks.report.rows import Row, at_least, at_most, figure
from benchmarks.upstream.slow import Slow
from headrace.cli.localkafka import free_ports
from headrace.cli.progress import Reporter
from headrace.schemas.breakers import State, Transition

CROWD, LONE = "crowd", "lone"
DEPLOYMENTS = 10
TENANTS = 2
PER_S = 20.0
WARM_S = 12.0
OUTAGE_S = 60.0
CLOSED_LIMIT_S = 180.0
"""From the end of the outage: the breaker may just have been opened for a minute and more."""
DEADLINE_S = 280
OPEN_BAR_S = 3.0
FAILED_BAR = 60
PROBES_BAR = 3
AMPLIFIED_BAR = 1.12
LATE_MS = 250
"""Until all dispatchers know of it, with what was on its way to the upstream."""


class Sick:
    """The two upstreams that fail, in this process, so that they need no log to be counted."""

    def __init__(self) -> None:
        self.ports = tuple(free_ports(2))
        self.crowd, self.lone = Slow(LATENCY_MS / 1000), Slow(LATENCY_MS / 1000)

    @property
    def deployments(self) -> Sequence[Limited]:
        """Ten of one model, the first of them sick, and the only one of another."""
        crowd = [Limited(f"{CROWD}-{n}", model=CROWD) for n in range(1, DEPLOYMENTS)]
        first = Limited(f"{CROWD}-0", model=CROWD, port=self.ports[0])
        return [first, *crowd, Limited(LONE, port=self.ports[1])]

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Listen while the block runs."""
        async with (
            await self.crowd.serve(self.ports[0]),
            await self.lone.serve(self.ports[1]),
        ):
            yield


async def measure_outage(site: Site, reporter: Reporter, sick: Sick) -> list[Row]:
    """Let them fail for a minute under load, and wait until both breakers are closed again."""
    reporter.say(f"outage: one of {DEPLOYMENTS} deployments, and one that is alone, fail for 60 s")
    both = (sick.crowd, sick.lone)
    watching = [f"{CROWD}-0", LONE]
    async with Traffic(site.stack.ingress_url, site.keys[:TENANTS]) as traffic:
        sending = [
            asyncio.create_task(
                traffic.send(Demand(name, PER_S, WARM_S + OUTAGE_S, DEADLINE_S, seed=number))
            )
            for number, name in enumerate((CROWD, LONE), 31)
        ]
        await asyncio.sleep(WARM_S)
        began_ms = now_ms()
        for one in both:
            one.failing = True
        await asyncio.sleep(OUTAGE_S)
        for one in both:
            one.failing = False
        ended_ms = now_ms()
        reporter.say("outage: over; requests go on until both breakers are closed")
        more = [
            asyncio.create_task(
                traffic.send(Demand(name, PER_S, CLOSED_LIMIT_S, DEADLINE_S, seed=number))
            )
            for number, name in enumerate((CROWD, LONE), 41)
        ]
        await until(
            lambda: _closed(site, watching, ended_ms), "a breaker stays open", CLOSED_LIMIT_S
        )
        for task in more:
            task.cancel()
        await asyncio.gather(*more, return_exceptions=True)
        seen = await asyncio.gather(*sending)
    rows: list[Row] = []
    for name, deployment, one, clients in zip((CROWD, LONE), watching, both, seen, strict=True):
        rows += _rows(name, moves_of(site, deployment, began_ms), one, clients, began_ms, ended_ms)
    return rows


def moves_of(site: Site, deployment: str, since_ms: int) -> list[tuple[int, Transition]]:
    """The changes of one breaker, in their order."""
    moved = site.watch.moved
    return [(at, one) for at, one in moved if one.deployment == deployment and at >= since_ms]


async def _closed(site: Site, deployments: Sequence[str], since_ms: int) -> bool | None:
    """True once each of them was closed since then; else None."""
    moves = [moves_of(site, name, since_ms) for name in deployments]
    return (
        True if all(any(one.after is State.CLOSED for _, one in mine) for mine in moves) else None
    )


def _rows(
    name: str,
    moves: list[tuple[int, Transition]],
    upstream: Slow,
    seen: Seen,
    began_ms: int,
    ended_ms: int,
) -> list[Row]:
    """What came of one of the two."""
    opened = [at for at, one in moves if one.after is State.OPEN]
    closed_ms = next(at for at, one in moves if one.after is State.CLOSED)
    failed = upstream.failed_ms
    late = max((at for at in failed if at < opened[0] + 5_000), default=opened[0]) - opened[0]
    probes = max(map(len, rounds_of(moves, upstream.failed_ms + upstream.passed_ms)), default=0)
    again = [at for at in opened if at > ended_ms + LATE_MS]
    answered = seen.statuses[200] / max(1, seen.statuses.total()) * 100
    asked = PER_S * OUTAGE_S  # each has one call that succeeds, here or elsewhere, sooner or later

    def bar(what: str, value: float, unit: str, most: float) -> Row:
        return at_most("G9", f"{name}: {what}", value, unit, most, judged=True)

    return [
        bar("failed calls in a minute's outage", len(failed), "calls", FAILED_BAR),
        bar("until it was open", (opened[0] - began_ms) / 1000, "s", OPEN_BAR_S),
        bar("calls after it was open came within", max(0, late), "ms", LATE_MS),
        bar("probes in a round, at most", probes, "calls", PROBES_BAR),
        bar("trips after the upstream was well", len(again), "trips", 0),
        at_least("G9", f"{name}: requests answered", answered, "%", 100, judged=True),
        at_most(
            "G11",
            f"{name}: calls for each request of the outage",
            (asked + len(failed)) / asked,
            "x",
            AMPLIFIED_BAR,
            judged=True,
        ),
        figure("G9.rounds", f"{name}: times it was open", len(opened), ""),
        figure(
            "G9.closed",
            f"{name}: closed after the end of the outage",
            (closed_ms - ended_ms) / 1000,
            "s",
        ),
    ]


def rounds_of(moves: list[tuple[int, Transition]], calls: list[int]) -> list[list[int]]:
    """Calls at the upstream while probes alone were allowed, round by round."""
    rounds: list[list[int]] = []
    for (begin_ms, move), (end_ms, _) in pairwise(moves):
        if move.after is State.HALF_OPEN:
            rounds.append([at for at in calls if begin_ms <= at < end_ms])
    return rounds
