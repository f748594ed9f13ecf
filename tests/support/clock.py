"""Put the clock of the running event loop forward, so that bounds of minutes are tested in no time."""

import asyncio
from typing import Any

import pytest

STEP_S = 10.0
TURNS = 20
"""Turns of the loop after each step: more than the end of a call takes."""
LONGEST_S = 86_400.0
CLOSE_S = 60.0
"""How far a time that `Clock.until` tells may be from the bound it proves; real time is part of it."""


class Clock:
    """The loop's own clock goes on, and is ahead of it by what a test has added.

    All timers of the loop see it: the code under test, servers in the same loop, `asyncio.sleep`.
    """

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        loop = asyncio.get_running_loop()
        self._real = loop.time
        self._ahead_s = 0.0
        patch.setattr(loop, "time", self.time)

    def time(self) -> float:
        return self._real() + self._ahead_s

    async def forward(self, seconds: float) -> None:
        """Put it forward, and let what is due by then happen."""
        self._ahead_s += seconds
        for _ in range(TURNS):
            await asyncio.sleep(0)

    async def until(self, task: "asyncio.Future[Any]") -> float:
        """Go forward in steps until `task` is done; returns by how many seconds.

        Errors: `AssertionError` when it still runs after a day.
        """
        began_s = self._ahead_s
        while not task.done():
            assert self._ahead_s - began_s < LONGEST_S, f"still running: {task}"
            await self.forward(STEP_S)
        return self._ahead_s - began_s


def is_close(seconds: float, bound_s: float) -> bool:
    """Whether a time that `until` told is that of a bound, and not of one far from it."""
    return abs(seconds - bound_s) <= CLOSE_S


@pytest.fixture
async def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Of the loop that runs the test."""
    return Clock(monkeypatch)
