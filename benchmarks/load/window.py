"""The measured part of a window: when it begins and ends, and what was seen in it."""

import asyncio
import time

from benchmarks.load.connection import LOST

DRAIN_S = 15.0
"""How long the last answers may take after the measured part."""


class Window:
    """Times are `time.monotonic` seconds; samples are kept only of the measured part."""

    def __init__(self) -> None:
        self.measuring = False
        self.stopped = False
        self.under_way = 0
        self.completed = 0
        self.failed = 0
        self.first_failure = ""
        self.seconds = 0.0

    async def measure(self, seconds: float) -> None:
        """Mark the measured part for whoever reads standard output."""
        print("begin", flush=True)
        began = time.monotonic()
        self.measuring = True
        await asyncio.sleep(seconds)
        self.measuring = False
        self.seconds = time.monotonic() - began
        print("end", flush=True)

    async def drain(self) -> None:
        """Wait for the answers that are still out; those that never come have failed."""
        self.stopped = True
        give_up_at = time.monotonic() + DRAIN_S
        while self.under_way and time.monotonic() < give_up_at:  # noqa: ASYNC110 - a signal a request costs more
            await asyncio.sleep(0.01)
        if self.under_way:
            self.fail(f"{self.under_way} requests without an answer", self.under_way)

    def settle(self, status: int) -> bool:
        """Count one answer; whether it is one to take a sample of."""
        self.under_way -= 1
        if status != 200:
            self.fail("the connection broke" if status == LOST else f"HTTP status {status}")
            return False
        if self.measuring:
            self.completed += 1
        return self.measuring

    def fail(self, why: str, count: int = 1) -> None:
        """Something went wrong; the first reason is kept."""
        self.failed += count
        self.first_failure = self.first_failure or why
