"""The order in which things are measured."""

import math
from pathlib import Path

from benchmarks.harness.arena import KAFKA, PRODUCT, Arena
from benchmarks.harness.options import Options
from benchmarks.harness.profile import profile_product
from benchmarks.harness.windows import Rounds, idle_window
from benchmarks.measures.capacity import (
    capacity_of,
    ceiling_rows,
    cost_rows,
    disturbance_row,
    draw_capacity,
    measure_capacity,
    measure_ceiling,
    memory_rows,
    rate_rows,
)
from benchmarks.measures.latency import SHARE, draw_latency, latency_rows, measure_latency
from benchmarks.measures.streams import draw_streams, measure_streams, stream_rows
from benchmarks.report.rows import Row, figure
from headrace.cli.progress import Reporter

IDLE_S = 3.0
WARM_ROUNDS = 6
STILL_WARMING = 0.9
"""A young JVM compiles beside its work: warm enough when a round costs Kafka no longer 10 % less."""
PROBE_ROUNDS = 1
"""Enough to find the rate of B3 when B1 and B2 are not asked for."""


class Bench:
    """One run. `wanted` names what of B1, B2, B3, B6 is measured."""

    def __init__(self, arena: Arena, options: Options, reporter: Reporter, results: Path) -> None:
        self._arena = arena
        self._options = options
        self._reporter = reporter
        self._results = results
        self._rows: list[Row] = []

    async def run(self, wanted: frozenset[str]) -> list[Row]:
        """Idle first, then warm up, then the measures."""
        arena, options = self._arena, self._options
        ceiling = await measure_ceiling(arena, options)
        self._rows += ceiling_rows(ceiling, arena.upstreams.name)
        await self._idle()
        await self._warm_up()
        if wanted & {"B1", "B2", "B3"}:
            await self._capacity_and_latency(wanted)
        if "B6" in wanted:
            await self._streams()
        if options.profile is not None:
            self._reporter.say(f"profiling into {options.profile}")
            await profile_product(arena, options, options.profile)
        return self._rows

    async def _warm_up(self) -> None:
        """Load both stacks until Kafka's cost of a request stops falling."""
        before = math.inf
        for number in range(1, WARM_ROUNDS + 1):
            self._reporter.say(f"warming up, round {number}")
            rounds = await measure_capacity(self._arena, self._options, 1)
            windows = [one for subject in rounds.rounds for one in subject.values()]
            if not windows:
                continue
            cost = sum(one.cpu_per_request_us(KAFKA) for one in windows)
            if cost > before * STILL_WARMING:
                return
            before = cost

    async def _idle(self) -> None:
        shares = await idle_window(IDLE_S, self._arena.processes)
        self._rows += [
            figure("idle", f"CPU of {name} without load", share * 100, "% of a core")
            for name, share in shares.items()
        ]

    async def _capacity_and_latency(self, wanted: frozenset[str]) -> None:
        options, reporter = self._options, self._reporter
        judged = bool(wanted & {"B1", "B2"})
        pairs = options.pairs if judged else PROBE_ROUNDS
        reporter.say(f"B1, B2: {pairs} pairs of {options.seconds:g} s windows")
        rounds = await measure_capacity(self._arena, options, pairs)
        self._note("B1, B2", rounds)
        if not rounds.rounds:
            return
        if judged:
            self._rows += [*cost_rows(rounds), *rate_rows(rounds, options)]
            self._rows += memory_rows(rounds.of(PRODUCT))
            draw_capacity(rounds, self._results)
        if "B3" in wanted:
            await self._latency(capacity_of(rounds, PRODUCT) * SHARE)

    async def _latency(self, rate: float) -> None:
        options = self._options
        self._reporter.say(f"B3: {options.pairs} rounds of three windows at {rate:.0f} requests/s")
        rounds = await measure_latency(self._arena, options, rate)
        self._note("B3", rounds)
        if rounds.rounds:
            self._rows += latency_rows(rounds, rate)
            draw_latency(rounds, self._results)

    async def _streams(self) -> None:
        options = self._options
        self._reporter.say(f"B6: {options.stream_rounds} rounds of {options.streams} streams")
        rounds = await measure_streams(self._arena, options)
        self._note("B6", rounds)
        if rounds.rounds:
            self._rows += stream_rows(rounds, options)
            draw_streams(rounds, self._results)

    def _note(self, what: str, rounds: Rounds) -> None:
        """What disturbed the windows, and how many were thrown away, is part of the result."""
        if rounds.rounds:
            self._rows.append(disturbance_row(f"{what} others", rounds))
        for why in rounds.invalid:
            self._reporter.say(f"{what}: a window was invalid: {why}")
        if not rounds.rounds:
            first = rounds.invalid[0] if rounds.invalid else ""
            self._rows.append(Row(what, f"no valid round: {first}", None, "", "valid", held=False))
        elif rounds.invalid:
            text = f"windows thrown away, the first: {rounds.invalid[0]}"
            self._rows.append(figure(f"{what}.invalid", text, len(rounds.invalid), "windows"))
