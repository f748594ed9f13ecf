"""One window: run the generator, and read what every process used in the measured part."""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from benchmarks.harness.usage import Usage, busy_s, read_usage, spent
from benchmarks.load.jobs import Job, Outcome

ROOT = Path(__file__).parents[2]
GENERATOR = "load generator"
OTHERS = "processes that are not part of the bench"
WINDOW_LIMIT_S = 60.0
"""Beyond the measured part; a generator that takes longer hangs."""
SPARE_ROUNDS = 3
"""How many rounds with an invalid window are made up for."""


@dataclass(frozen=True)
class Measured:
    """One window. `cpu_s` and `rss_mb` have one entry a process, the generator included."""

    outcome: Outcome
    cpu_s: dict[str, float]
    rss_mb: dict[str, float]
    others_s: float = 0.0
    """CPU seconds of everything else on this machine: what disturbed the window."""

    @property
    def valid(self) -> bool:
        """A window with a failed request says nothing."""
        return self.outcome.failed == 0 and self.outcome.completed > 0

    @property
    def rate(self) -> float:
        """Completed a second."""
        return self.outcome.completed / self.outcome.seconds

    def cpu_per_request_us(self, *names: str) -> float:
        """CPU of these processes together, per completed request, in microseconds."""
        return sum(self.cpu_s[name] for name in names) / self.outcome.completed * 1e6


class WindowFailed(Exception):
    """The generator itself ended with an error."""


async def run_window(job: Job, watched: Mapping[str, int]) -> Measured:
    """Run `job` and read the `watched` pids at the edges of its measured part."""
    command = (sys.executable, "-m", "benchmarks.load", msgspec.json.encode(job).decode())
    process = await asyncio.create_subprocess_exec(
        *command, cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    lines = process.stdout
    if lines is None:
        raise WindowFailed("the load generator has no output")
    everyone = {**watched, GENERATOR: process.pid}
    try:
        async with asyncio.timeout(job.seconds + WINDOW_LIMIT_S):
            await _expect(lines, b"begin\n")
            before, busy_before = read_usage(everyone), busy_s()
            await _expect(lines, b"end\n")
            after, busy_after = read_usage(everyone), busy_s()
            outcome = msgspec.json.decode(await lines.readline(), type=Outcome)
            await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    cpu_s = spent(before, after)
    others_s = max(0.0, busy_after - busy_before - sum(cpu_s.values()))
    return Measured(outcome, cpu_s, _memory(after), others_s)


async def idle_window(seconds: float, watched: Mapping[str, int]) -> dict[str, float]:
    """Name -> share of one core that each process uses without any load, and all others do."""
    before, busy_before = read_usage(watched), busy_s()
    await asyncio.sleep(seconds)
    shares = {name: s / seconds for name, s in spent(before, read_usage(watched)).items()}
    others = (busy_s() - busy_before) / seconds - sum(shares.values())
    return {**shares, OTHERS: max(0.0, others)}


async def _expect(lines: asyncio.StreamReader, line: bytes) -> None:
    if await lines.readline() != line:
        raise WindowFailed("the load generator ended with an error; see above")


def _memory(usage: Mapping[str, Usage]) -> dict[str, float]:
    return {name: one.rss_mb for name, one in usage.items()}


@dataclass(frozen=True)
class Rounds:
    """Rounds of windows, one of each subject in each round, in which all were valid."""

    rounds: list[dict[str, Measured]]
    invalid: list[str]
    """Why windows were thrown away, one line each."""

    def of(self, subject: str) -> list[Measured]:
        """The windows of one subject, in order."""
        return [one[subject] for one in self.rounds]


RunOne = Callable[[str, int], Awaitable[Measured]]


async def alternate(subjects: tuple[str, ...], wanted: int, run: RunOne) -> Rounds:
    """Run `run(subject, round)` in turn until `wanted` rounds are valid, or give up.

    Every other round runs backwards, so that what one window leaves behind (a warm cache, a
    busy Kafka) does not always meet the same subject.
    """
    rounds: list[dict[str, Measured]] = []
    invalid: list[str] = []
    for number in range(wanted + SPARE_ROUNDS):
        if len(rounds) == wanted:
            break
        order = subjects if number % 2 == 0 else subjects[::-1]
        windows = {subject: await run(subject, number) for subject in order}
        bad = [f"{s}: {_why(w.outcome)}" for s, w in windows.items() if not w.valid]
        invalid += bad
        if not bad:
            rounds.append({subject: windows[subject] for subject in subjects})
    return Rounds(rounds, invalid)


def _why(outcome: Outcome) -> str:
    if outcome.failed == 0:
        return "nothing completed"
    return (
        f"{outcome.failed} failed of {outcome.completed + outcome.failed}: {outcome.first_failure}"
    )
