"""The governor on virtual time: overshoot, use, recovery, fairness, learning (G1 to G6, G8, G10)."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from random import Random
from time import monotonic

import msgspec
import typer
from governor_breaker.hidden_limit import CASES, HiddenLimit
from governor_breaker.traffic import Traffic as BreakerTraffic
from governor_breaker.traffic import steady

from benchmarks.harness.machine import machine_rows
from benchmarks.report.rows import Row, as_json, at_least, at_most, figure
from headrace.dispatcher.governor.simulator.run import Outcome, simulate
from headrace.dispatcher.governor.simulator.story import Fault, Story, Traffic, Trouble, draw
from headrace.dispatcher.governor.timing import Timing
from headrace.dispatcher.governor.tree import Caps, Scope, Tree
from headrace.schemas.journal import SessionId
from headrace.schemas.limits import End, Flow, Grants, Units
from headrace.schemas.names import DeploymentName, LaneName, Tenant

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results" / "simulate.json"
MINUTE_MS = 60_000
WARM_MS = 2 * MINUTE_MS
SIZES = ((50, 50), (100, 100), (200, 200), (100, 300), (400, 600))
"""Of requests and their answers in G2, in tokens."""
LARGEST = max(map(sum, SIZES))
CHUNK = 20
SEEDS = 3
"""Of each figure that is not counted over thousands of seeds; the worst one is told."""


class Seed(msgspec.Struct):
    """What is left of a hostile run."""

    seed: int
    violations: list[str]
    admitted: int
    virtual_s: float


def hostile(seed: int, seconds: tuple[int, int]) -> Seed:
    """One seed of G1."""
    story = draw(seed, seconds=seconds)
    outcome = simulate(story)
    return Seed(seed, outcome.violations, len(outcome.arrivals), story.until_ms / 1000)


def run(seeds: range, jobs: int, *, long: int) -> int:
    """All figures, and whether each bar was held; 1 when something was violated."""
    began = monotonic()
    results = [*_hostile(seeds, jobs, (60, 120)), *_hostile(range(long), jobs, (900, 900))]
    bad = [result for result in results if result.violations]
    for result in bad[:10]:
        typer.echo(f"governor seed {result.seed}: {result.violations[:3]}")
    rows = [
        figure("G1", "seeds of 60 to 120 virtual seconds, faults on", len(seeds), "seeds"),
        figure("G1", "seeds of 900 virtual seconds, faults on", long, "seeds"),
        figure("G1", "requests that were admitted in them", sum(r.admitted for r in results), ""),
        figure("G1", "time that they took", monotonic() - began, "s"),
        at_most("G1", "seeds with any violation", len(bad), "seeds", 0, judged=True),
        *use(),
        *rotation(),
        *takeover(),
        *death(),
        *fairness(),
        *hidden(),
        *chance(),
    ]
    for row in rows:
        verdict = "" if row.held is None else ("held" if row.held else "MISSED")
        typer.echo(f"{row.id:4} {row.what}: {row.value} {row.unit} {row.bar or ''} {verdict}")
    RESULTS.write_text(as_json(machine_rows() + rows), encoding="utf-8")
    return int(bool(bad))


def use() -> Iterator[Row]:
    """G2: how much of the limit is used when there is more than enough to do.

    A large request that waits leaves half of a request's room unused on average, so sizes matter: beside
    it stands what is used where nobody passes it and everything is known at once.
    """
    for times, bar in ((6, 97.5), (60, 98.8)):
        for demand in (1.2, 5.0):
            worst = min(_use_of(seed, times, demand) for seed in range(SEEDS))
            what = f"use of a token limit of {times} x the largest request, demand {demand} x"
            yield at_least("G2", what, worst, "%", bar, judged=True)
        ideal = [_ideal_use(seed, times) for seed in range(4 * SEEDS)]
        what = f"use of {times} x by an ideal owner who lets nobody pass, mean of {len(ideal)}"
        yield figure("G2", what, sum(ideal) / len(ideal), "%")


def _ideal_use(seed: int, times: int) -> float:
    """Four tenants who always ask: the one that had least is next, and waits until there is room."""
    dice, width_ms = Random(seed), Timing().width_ms(MINUTE_MS)
    limit = times * LARGEST
    until_ms = 60 * MINUTE_MS
    had, heads = [0] * 4, [sum(dice.choice(SIZES)) for _ in range(4)]
    charged: deque[tuple[int, int]] = deque()
    now_ms = charge = used = 0
    while now_ms < until_ms:
        first = had.index(min(had))
        while charge + heads[first] > limit:
            now_ms, size = charged.popleft()
            charge -= size
        charged.append((now_ms + width_ms, heads[first]))
        charge += heads[first]
        had[first] += heads[first]
        used += heads[first] * (now_ms >= WARM_MS)
        heads[first] = sum(dice.choice(SIZES))
    return 100 * used * MINUTE_MS / (until_ms - WARM_MS) / limit


def _use_of(seed: int, times: int, demand: float) -> float:
    limit = times * LARGEST
    mean = sum(map(sum, SIZES)) / len(SIZES)
    per_s = demand * limit / mean / 60
    # The first minute fills the queues, so that chance leaves none of them empty.
    traffic = tuple(
        Traffic(_flow(f"t{number}"), rate / 4, SIZES, (), begin, end)
        for number in range(4)
        for rate, begin, end in ((5 * per_s, 0, MINUTE_MS), (per_s, MINUTE_MS, 1 << 60))
    )
    story = Story(seed, _tree(total_tokens=limit), traffic, 4, 10 * MINUTE_MS)
    outcome = simulate(story)
    tokens = _mean(outcome, WARM_MS + MINUTE_MS, story.until_ms, lambda units: sum(units[1:]))
    return 100 * tokens / limit


def _mean(outcome: Outcome, from_ms: int, until_ms: int, size: Callable[[Units], int]) -> float:
    """What lies in a window, averaged over all windows that end in that time."""
    total = 0
    for one in outcome.arrivals:
        counted_ms = min(one.at_ms + MINUTE_MS, until_ms) - max(one.at_ms, from_ms)
        if counted_ms > 0:
            total += size(one.units) * counted_ms
    return total / (until_ms - from_ms)


def rotation() -> Iterator[Row]:
    """G3: ten a minute over eight dispatchers."""
    counts: list[float] = []
    most = 0
    for seed in range(SEEDS):
        traffic = (Traffic(_flow("t"), 1.0),)
        outcome = simulate(Story(seed, _tree(requests=10), traffic, 8, 20 * MINUTE_MS))
        late = [one for one in outcome.arrivals if one.at_ms >= WARM_MS]
        counts.append(len(late) / 18)
        most = max(most, *outcome.windows[0].most.values())
    yield at_most(
        "G3", "most in any 60 s, 10 a minute over 8 dispatchers", most, "", 10, judged=True
    )
    yield at_least("G3", "in a minute, on average", min(counts), "", 9.7, judged=True)


def takeover() -> Iterator[Row]:
    """G4: the owner dies in the third minute, with five times the demand that fits."""
    gaps: list[float] = []
    uses: list[float] = []
    most = 0
    for seed in range(4 * SEEDS):
        at_ms = WARM_MS + 10_000 + 37 * seed
        fault = Fault(Trouble.KILL_OWNER, at_ms, 30_000, 0)
        traffic = (Traffic(_flow("t"), 50.0),)
        story = Story(seed, _tree(requests=600), traffic, 4, 4 * MINUTE_MS, faults=(fault,))
        outcome = simulate(story)
        times = sorted(one.at_ms for one in outcome.arrivals)
        # What is on its way when the owner dies is up to 0.5 s from its grant to its arrival.
        after = [one for one in times if one >= at_ms + 1_000]
        gaps.append((after[0] - at_ms) / 1000)
        uses.append(_mean(outcome, at_ms, at_ms + MINUTE_MS, lambda units: units.requests) / 6)
        most = max(most, *outcome.windows[0].most.values()) - 600 if outcome.violations else most
    yield at_most("G4", "granted beyond the limit when the owner dies", most, "", 0, judged=True)
    yield at_most("G4", "until requests are admitted again", max(gaps), "s", 3, judged=True)
    yield at_least("G4", "use of the limit in that minute", min(uses), "%", 95, judged=True)


def death() -> Iterator[Row]:
    """G5: a dispatcher that holds half of the seats dies."""
    times: list[float] = []
    taken: list[float] = []
    for seed in range(10 * SEEDS):
        at_ms = 20_000 + 61 * seed
        fault = Fault(Trouble.KILL_DISPATCHER, at_ms, 60_000, 0)
        traffic = tuple(Traffic(_flow("t"), 2.0, only=(number,)) for number in range(2))
        story = Story(seed, _tree(seats=20), traffic, 2, 60_000, faults=(fault,))
        outcome = simulate(replace(story, call_ms=(200_000, 300_000)))
        back = (at for at, one in outcome.granted if at > at_ms and isinstance(one, End))
        times.append((min(back) - at_ms) / 1000)
        taken.append((max(one.at_ms for one in outcome.arrivals) - at_ms) / 1000)
    what = "until credits and seats of a killed dispatcher are back"
    yield at_most("G5", what, max(times), "s", 11, judged=True)
    yield figure("G5", "until they are used again, at the upstream", max(taken), "s")


def fairness() -> Iterator[Row]:
    """G6: two tenants with equal weights; one offers ten times as much, the other's are 16 x larger."""
    gaps: list[float] = []
    shares: list[float] = []
    small, large = (40, 60), (600, 1_000)
    for seed in range(SEEDS):
        traffic = (
            Traffic(_flow("many"), 80.0, (small,)),
            Traffic(_flow("large"), 0.5 * 80 / 16, (large,)),
        )
        limits = _tree(total_tokens=96_000)
        story = Story(seed, limits, traffic, 4, 10 * MINUTE_MS, send_ms=10)
        outcome = simulate(story)
        gaps.append(_gap(outcome) / 1_600)
        shares += _jain(outcome, story.until_ms)
    what = "gap between two tenants from any tick to any other, in largest requests"
    yield at_most("G6", what, max(gaps), "x", 2, judged=True)
    yield at_least("G6", "Jain's index of each 60 s", min(shares), "", 0.95, judged=True)


def hidden() -> Iterator[Row]:
    """G8: the real limit is 60 % of the configured one, and only 429s tell it."""
    runs = [
        HiddenLimit(configured=configured, hidden=real, seed=real, tells=tells).run(18)
        for configured, real, tells in CASES
    ]
    most = max(max(one.refused_by_window(after=2)) for one in runs)
    least = min(one.used(after=2) for one in runs)
    what = "429s in a window after two, with a real limit of 60 % of the configured one"
    yield at_most("G8", what, most, "", 3, judged=True)
    yield at_least("G8", "use of the real limit", 100 * least, "%", 90, judged=True)


def chance() -> Iterator[Row]:
    """G10: an hour in which a fifth of the calls fail by chance, its cold start included."""
    opened = 0
    for per_s in (3, 8, 20):
        traffic = BreakerTraffic(steady(0.2), seed=per_s, rps=per_s, tick_ms=1_000, dispatchers=2)
        opened += len(traffic.run(3_600).opened_s())
    what = "breakers that open in an hour of 20 % errors, at 3, 8 and 20 calls/s"
    yield at_most("G10", what, opened, "", 0, judged=True)


def _gap(outcome: Outcome) -> int:
    """The most by which one tenant got ahead of the other between any two ticks after the warm-up.

    What is granted in one tick arrives within milliseconds, in an order that means nothing.
    """
    granted: dict[tuple[SessionId, Flow], int] = {}
    ahead = 0
    seen: list[int] = []
    for at_ms, command in outcome.granted:
        if not isinstance(command, Grants):
            continue
        for session in command.sessions:
            for flow in session.flows:
                whose, all_ = (session.session, flow.flow), sum(flow.granted[1:])
                more = max(0, all_ - granted.get(whose, 0))
                granted[whose] = granted.get(whose, 0) + more
                ahead += more if flow.flow.tenant == "many" else -more
        if at_ms >= WARM_MS:
            seen.append(ahead)
    return max(seen) - min(seen)


def _jain(outcome: Outcome, until_ms: int) -> Iterator[float]:
    for begin in range(WARM_MS, until_ms, MINUTE_MS):
        got = {"many": 0, "large": 0}
        for one in outcome.arrivals:
            if begin <= one.at_ms < begin + MINUTE_MS:
                got[one.flow.tenant] += one.units.input + one.units.output
        values: Sequence[int] = list(got.values())
        yield sum(values) ** 2 / (len(values) * sum(value**2 for value in values))


def _hostile(seeds: range, jobs: int, seconds: tuple[int, int]) -> Iterator[Seed]:
    one = partial(hostile, seconds=seconds)
    if jobs == 1:
        yield from map(one, seeds)
        return
    with ProcessPoolExecutor(jobs) as pool:
        yield from pool.map(one, seeds, chunksize=CHUNK)


def _flow(tenant: str) -> Flow:
    return Flow(DeploymentName("d"), LaneName("standard"), Tenant(tenant))


def _tree(**caps: int) -> Tree:
    return Tree((Scope("all", Caps(**caps)),))
