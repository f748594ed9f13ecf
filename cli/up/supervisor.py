"""Starts again what died, with a growing pause, and says so."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from headrace.cli.localkafka import LocalKafkaError
from headrace.cli.progress import Reporter
from headrace.cli.up.errors import StackError


class Restartable(Protocol):
    """A process that ends and can be started again."""

    async def wait(self) -> int:
        """Wait for its end; the exit code."""
        ...

    async def start(self) -> None:
        """Start it again."""


async def keep_running(
    name: str,
    process: Restartable,
    reporter: Reporter,
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> None:
    """Follow one process until this is cancelled, which comes before an orderly stop."""
    deaths: list[float] = []
    while True:
        code = await process.wait()
        told = f"{name} ended ({f'signal {-code}' if code < 0 else f'exit code {code}'})"
        while told:
            deaths = [*deaths[-9:], clock()]
            pause_s = restart_pause_s(deaths, clock())
            reporter.say(f"{told}; starting it again in {pause_s:g} s")
            await sleep(pause_s)
            try:
                await process.start()
                told = ""
            except (StackError, LocalKafkaError, OSError) as error:  # TimeoutError is an OSError
                told = f"{name} could not be started: {str(error) or type(error).__name__}"


def restart_pause_s(deaths: Sequence[float], now: float) -> float:
    """How long to wait before a process is started again: 0.5 s, doubled, at most 10 s.

    `deaths` are times of its ends; those older than a minute are forgotten.
    """
    recent = sum(now - at < 60 for at in deaths)
    return float(min(0.5 * 2 ** max(recent - 1, 0), 10.0))
