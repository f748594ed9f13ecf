"""B3: the open loop at half of the product's own capacity. What a stack adds to the upstream.

The upstream alone, the bare loop and the product get the same arrivals in turn. Added time is
a quantile of the stack minus the same quantile of the upstream alone, both seen by the client.
"""

from pathlib import Path

from benchmarks.harness.arena import BARE, DIRECT, PRODUCT, Arena
from benchmarks.harness.options import MIN_PAIRS, Options
from benchmarks.harness.windows import Measured, Rounds, alternate
from benchmarks.load.jobs import NOTHING, OpenJob, Quantiles
from benchmarks.measures.capacity import cpu_us
from benchmarks.report.plots import draw_curves, new_figure, save
from benchmarks.report.rows import Row, at_most, figure, middle, spread

SHARE = 0.5
P50_BAR_MS = 6.0
P99_BAR_MS = 25.0
P99_BAR_BARE = 2.0


async def measure_latency(arena: Arena, options: Options, rate: float) -> Rounds:
    """Rounds of direct, bare, product at `rate` a second; one seed a round."""

    async def run(subject: str, number: int) -> Measured:
        target = arena.target(subject, stream=False)
        seed = options.seed + number
        return await arena.measure(OpenJob(target, rate, options.warm_s, options.seconds, seed))

    return await alternate((DIRECT, BARE, PRODUCT), options.pairs, run)


def latency_rows(rounds: Rounds, rate: float) -> list[Row]:
    """Two bars, and the figures they are made of."""
    judged = len(rounds.rounds) >= MIN_PAIRS
    p50, p99 = added(rounds, PRODUCT, 0.5), added(rounds, PRODUCT, 0.99)
    bare_p50, bare_p99 = added(rounds, BARE, 0.5), added(rounds, BARE, 0.99)
    p99_bar = max(P99_BAR_MS, P99_BAR_BARE * middle(bare_p99))
    return [
        at_most("B3", f"added p50 ({spread(p50)})", middle(p50), "ms", P50_BAR_MS, judged=judged),
        at_most("B3", f"added p99 ({spread(p99)})", middle(p99), "ms", p99_bar, judged=judged),
        figure("B3.rate", f"open loop, {SHARE:.0%} of the product's own", rate, "requests/s"),
        figure("B3.bare", f"bare loop, added p50 ({spread(bare_p50)})", middle(bare_p50), "ms"),
        figure("B3.bare", f"bare loop, added p99 ({spread(bare_p99)})", middle(bare_p99), "ms"),
        *_direct_rows(rounds),
        *_cost_rows(rounds),
    ]


def added(rounds: Rounds, subject: str, share: float) -> list[float]:
    """Round by round, in milliseconds."""
    return [
        _at(latency(one[subject]), share) - _at(latency(one[DIRECT]), share)
        for one in rounds.rounds
    ]


def latency(window: Measured) -> Quantiles:
    """From the sending (streams: to the first token) to the answer."""
    return window.outcome.latency_ms or NOTHING


def _at(distribution: Quantiles, share: float) -> float:
    return {0.5: distribution.p50, 0.99: distribution.p99}[share]


def _direct_rows(rounds: Rounds) -> list[Row]:
    windows = rounds.of(DIRECT)
    lags = [one.outcome.lag_ms.p99 for one in windows if one.outcome.lag_ms]
    return [
        figure("B3.direct", "upstream alone, p50", middle([latency(w).p50 for w in windows]), "ms"),
        figure("B3.direct", "upstream alone, p99", middle([latency(w).p99 for w in windows]), "ms"),
        figure("B3.direct", "of that, the generator sent late, p99", middle(lags), "ms"),
    ]


def _cost_rows(rounds: Rounds) -> list[Row]:
    """The same costs as B1, where the cores are not full and less is done in batches."""
    return [
        figure(
            f"B3.{subject}",
            f"CPU per request of {subject}, ingress + dispatcher",
            middle([cpu_us(one, subject) for one in rounds.of(subject)]),
            "us/request",
        )
        for subject in (BARE, PRODUCT)
    ]


def draw_latency(rounds: Rounds, folder: Path) -> None:
    """Latency as the client sees it, one line a window."""
    drawing, (axes,) = new_figure(1, "B3: open loop at half of the product's capacity")
    curves = {s: [latency(w) for w in rounds.of(s)] for s in (DIRECT, BARE, PRODUCT)}
    draw_curves(axes, "latency from the intended time", curves)
    save(drawing, folder / "latency.svg")
