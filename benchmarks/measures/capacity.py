"""B1 and B2: the closed loop. What a request costs, and how many fit on the cores.

Both are read from the same windows: as many requests as `connections` clients can get through,
first one stack and then the other.
"""

from collections.abc import Sequence
from pathlib import Path

from benchmarks.harness.arena import BARE, DIRECT, KAFKA, PRODUCT, Arena
from benchmarks.harness.options import MIN_PAIRS, Options
from benchmarks.harness.windows import GENERATOR, OTHERS, Measured, Rounds, alternate
from benchmarks.load.jobs import ClosedJob, Target
from benchmarks.report.plots import draw_rounds, new_figure, save
from benchmarks.report.rows import Row, at_least, at_most, figure, middle, spread

B1_BAR = 2.0
B2_BAR = 0.5
CEILING_S = 2.0


def closed_job(target: Target, options: Options, seconds: float) -> ClosedJob:
    """As many clients as the options say."""
    return ClosedJob(target, options.connections, options.warm_s, seconds)


async def measure_ceiling(arena: Arena, options: Options) -> Measured:
    """The generator against the upstream with nothing between them."""
    target = arena.target(DIRECT, stream=False)
    return await arena.measure(closed_job(target, options, CEILING_S))


def ceiling_rows(window: Measured, upstream: str) -> list[Row]:
    """What generator and upstream reach alone, and what the generator costs."""
    return [
        figure("upstream", f"{upstream} alone, with this generator", window.rate, "requests/s"),
        figure(
            "generator",
            "CPU of the load generator, with the upstream alone",
            window.cpu_per_request_us(GENERATOR),
            "us/request",
        ),
    ]


async def measure_capacity(arena: Arena, options: Options, pairs: int) -> Rounds:
    """`pairs` windows of each stack, in turn."""

    async def run(subject: str, _round: int) -> Measured:
        target = arena.target(subject, stream=False)
        return await arena.measure(closed_job(target, options, options.seconds))

    return await alternate((BARE, PRODUCT), pairs, run)


def roles(subject: str) -> tuple[str, str]:
    """The processes that a subject's CPU is the sum of. Kafka's own is apart."""
    return f"{subject} ingress", f"{subject} dispatcher"


def cpu_us(window: Measured, subject: str) -> float:
    """CPU of ingress and dispatcher per request."""
    return window.cpu_per_request_us(*roles(subject))


def cost_rows(rounds: Rounds) -> list[Row]:
    """B1: the ratio that is judged, and the figures it is made of."""
    ratios = [cpu_us(one[PRODUCT], PRODUCT) / cpu_us(one[BARE], BARE) for one in rounds.rounds]
    judged = len(ratios) >= MIN_PAIRS
    what = f"CPU per request, ingress + dispatcher, product / bare ({spread(ratios)})"
    rows = [at_most("B1", what, middle(ratios), "x", B1_BAR, judged=judged)]
    for subject in (BARE, PRODUCT):
        for name in (*roles(subject), KAFKA):
            costs = [one.cpu_per_request_us(name) for one in rounds.of(subject)]
            what = f"CPU of {name} under the load of {subject}"
            rows.append(figure(f"B1.{subject}", what, middle(costs), "us/request"))
    return rows


def rate_rows(rounds: Rounds, options: Options) -> list[Row]:
    """B2: the ratio that is judged, and the two rates."""
    ratios = [one[PRODUCT].rate / one[BARE].rate for one in rounds.rounds]
    judged = len(ratios) >= MIN_PAIRS
    what = f"requests/s at {options.connections} connections, product / bare ({spread(ratios)})"
    rows = [at_least("B2", what, middle(ratios), "x", B2_BAR, judged=judged)]
    for subject in (BARE, PRODUCT):
        rates = [one.rate for one in rounds.of(subject)]
        what = f"{subject}, everything on the same cores ({spread(rates)})"
        rows.append(figure(f"B2.{subject}", what, middle(rates), "requests/s"))
    return rows


def capacity_of(rounds: Rounds, subject: str) -> float:
    """Requests a second that a subject reached."""
    return middle([one.rate for one in rounds.of(subject)])


def disturbance_row(row_id: str, rounds: Rounds) -> Row:
    """What else ran on the machine: with much of it, absolute figures are worth little."""
    shares = [w.others_s / w.outcome.seconds for one in rounds.rounds for w in one.values()]
    what = f"CPU of {OTHERS} during the windows ({spread(shares)})"
    return figure(row_id, what, middle(shares), "cores")


def memory_rows(windows: Sequence[Measured]) -> list[Row]:
    """The largest resident memory of each process in these windows."""
    names = [name for name in windows[0].rss_mb if name != GENERATOR]
    return [
        figure("rss", f"memory of {name}, largest", max(w.rss_mb[name] for w in windows), "MB")
        for name in names
    ]


def draw_capacity(rounds: Rounds, folder: Path) -> None:
    """CPU per request and requests per second, round by round."""
    drawing, (cost, rate) = new_figure(2, "B1, B2: bare loop and product in turn")
    costs = {s: [cpu_us(one, s) for one in rounds.of(s)] for s in (BARE, PRODUCT)}
    rates = {s: [one.rate for one in rounds.of(s)] for s in (BARE, PRODUCT)}
    draw_rounds(cost, "us CPU a request", costs)
    draw_rounds(rate, "requests/s", rates)
    save(drawing, folder / "capacity.svg")
