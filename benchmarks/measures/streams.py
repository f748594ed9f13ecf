"""B6: streams. What the product adds to the first token, what many streams cost, and the gaps.

Clients read streams one after the other, so that starts come all the time while the others
flow. The upstream alone gets the same load in turn; it sends its first token at once.
"""

from collections.abc import Sequence
from pathlib import Path

from benchmarks.harness.arena import DIRECT, PRODUCT, Arena
from benchmarks.harness.options import Options
from benchmarks.harness.windows import Measured, Rounds, alternate
from benchmarks.load.jobs import NOTHING, Quantiles, StreamsJob
from benchmarks.measures.capacity import roles
from benchmarks.measures.latency import added, latency
from benchmarks.report.plots import draw_curves, new_figure, save
from benchmarks.report.rows import Row, at_least, at_most, figure, middle, spread

MIN_ROUNDS = 4
FIRST_P50_BAR_MS = 10.0
FIRST_P99_BAR_MS = 40.0
CORES_BAR = 1.0
GAPS_BAR_MS = 80.0
CARRIED_BAR = 0.98
"""Below it the load was not carried, and the other figures are of a smaller one."""


async def measure_streams(arena: Arena, options: Options) -> Rounds:
    """Rounds of direct and product."""

    async def run(subject: str, _round: int) -> Measured:
        target = arena.target(subject, stream=True)
        job = StreamsJob(
            target,
            options.streams,
            options.stream_tokens,
            options.stream_s,
            max(options.seconds, 2 * options.stream_s),
        )
        return await arena.measure(job)

    return await alternate((DIRECT, PRODUCT), options.stream_rounds, run)


def stream_rows(rounds: Rounds, options: Options) -> list[Row]:
    """The bars, and the figures beside them."""
    wanted = options.streams * options.stream_rate
    carried = [tokens_per_s(window) / wanted for window in rounds.of(PRODUCT)]
    judged = len(rounds.rounds) >= MIN_ROUNDS
    p50, p99 = added(rounds, PRODUCT, 0.5), added(rounds, PRODUCT, 0.99)
    cores = [cores_used(window) for window in rounds.of(PRODUCT)]
    waits = [gaps(window).p99 for window in rounds.of(PRODUCT)]
    load = f"{options.streams} streams x {options.stream_rate} tokens/s"

    def bar(what: str, values: Sequence[float], unit: str, limit: float) -> Row:
        text = f"{what} ({spread(values)})"
        return at_most("B6", text, middle(values), unit, limit, judged=judged)

    return [
        bar("added to the first token, p50", p50, "ms", FIRST_P50_BAR_MS),
        bar("added to the first token, p99", p99, "ms", FIRST_P99_BAR_MS),
        bar(f"{load}: ingress + dispatcher", cores, "cores", CORES_BAR),
        bar("gap between reads of a stream, p99", waits, "ms", GAPS_BAR_MS),
        at_least(
            "B6",
            f"tokens that came, of {wanted}/s ({spread(carried)})",
            middle(carried),
            "share",
            CARRIED_BAR,
            judged=judged,
        ),
        *_beside_rows(rounds),
    ]


def tokens_per_s(window: Measured) -> float:
    """Tokens that reached the clients."""
    return window.outcome.tokens / window.outcome.seconds


def cores_used(window: Measured) -> float:
    """Ingress and dispatcher of the product together."""
    return sum(window.cpu_s[name] for name in roles(PRODUCT)) / window.outcome.seconds


def gaps(window: Measured) -> Quantiles:
    """Between two reads of one stream."""
    return window.outcome.gaps_ms or NOTHING


def _beside_rows(rounds: Rounds) -> list[Row]:
    windows = rounds.of(PRODUCT)
    per_core = [tokens_per_s(window) / cores_used(window) for window in windows]
    token_p50 = [(window.outcome.token_ms or NOTHING).p50 for window in windows]
    direct_gaps = [gaps(window).p99 for window in rounds.of(DIRECT)]
    rows = [
        figure("B6.per-core", "tokens/s per core", middle(per_core), "tokens/s"),
        figure("B6.token", "a token's way, upstream to client, p50", middle(token_p50), "ms"),
        figure("B6.direct", "upstream alone, gap p99", middle(direct_gaps), "ms"),
    ]
    for name in roles(PRODUCT):
        used = [window.cpu_s[name] / window.outcome.seconds for window in windows]
        rows.append(figure("B6.cores", name, middle(used), "cores"))
    return rows


def draw_streams(rounds: Rounds, folder: Path) -> None:
    """Time to the first token, and the gaps after it."""
    drawing, (first, after) = new_figure(2, "B6: streams")
    subjects = (DIRECT, PRODUCT)
    draw_curves(
        first, "to the first token", {s: [latency(w) for w in rounds.of(s)] for s in subjects}
    )
    draw_curves(
        after,
        "gap between reads",
        {s: [gaps(w) for w in rounds.of(s)] for s in subjects},
    )
    save(drawing, folder / "streams.svg")
