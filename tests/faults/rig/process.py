"""One process of a fleet, and everything that may be done to it."""

import asyncio
import contextlib
import os
import resource
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from headrace.cli.lifeline import Child, Lifeline
from headrace.cli.up.http import status_of

READY_LIMIT_S = 120.0
POLL_S = 0.05
ARMED = Path(__file__).with_name("armed.py")


class Process:
    """`headrace ARGUMENTS`; with `arms` it runs through `armed.py`, which does what they say."""

    def __init__(
        self,
        name: str,
        arguments: Sequence[str],
        ready_url: str,
        lifeline: Lifeline,
        *,
        log: Path,
        environ: Mapping[str, str],
        arms: str = "",
        grace_s: float = 35.0,
    ) -> None:
        self.name = name
        self.log = log
        self.ready_url = ready_url
        self.arms = arms
        """Of the next start."""
        self._arguments = tuple(arguments)
        self._lifeline = lifeline
        self._environ = environ
        self._grace_s = grace_s
        self._child: Child | None = None

    @property
    def pid(self) -> int:
        """The process itself."""
        assert self._child is not None
        return self._child.pid

    @property
    def running(self) -> bool:
        """Whether it has been started and has not ended."""
        return self._child is not None and self._child.returncode is None

    async def start(self) -> None:
        """Start it; `ready` waits for it."""
        program = (str(ARMED),) if self.arms else ("-m", "headrace.cli.main")
        environ = {**self._environ, "RIG_ARMS": self.arms}
        command = (sys.executable, *program, *self._arguments)
        self._child = await self._lifeline.spawn(command, log=self.log, env=environ)

    def change(self, more: Sequence[str]) -> None:
        """Give its next start these arguments besides; the later of two options wins."""
        self._arguments = (*self._arguments, *more)

    async def ready(self, within_s: float = READY_LIMIT_S) -> None:
        """Wait until its readiness answers 200. Raises `AssertionError`."""
        try:
            async with asyncio.timeout(within_s):
                while await status_of(self.ready_url) != 200:
                    assert self.running, f"{self.name} ended: {self.told()}"
                    await asyncio.sleep(POLL_S)
        except TimeoutError:
            raise AssertionError(
                f"{self.name} not ready in {within_s:.0f} s: {self.told()}"
            ) from None

    async def wait(self) -> int:
        """Its exit code, negative for a signal."""
        assert self._child is not None
        return await self._child.wait()

    async def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        if self._child is not None:
            await self._child.stop(0)

    def terminate(self) -> None:
        """SIGTERM: it drains and ends."""
        assert self._child is not None
        self._child.signal(signal.SIGTERM)

    def freeze(self) -> None:
        """SIGSTOP."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT; one that has ended is no error."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGCONT)

    def block(self) -> None:
        """Stops its event loop, if it was armed with `block_s`."""
        os.kill(self.pid, signal.SIGUSR1)

    def bound(self, what: int, value: int) -> tuple[int, int]:
        """Set a resource limit of the running process; returns the one before."""
        before = resource.prlimit(self.pid, what)
        resource.prlimit(self.pid, what, (value, before[1]))
        return before

    async def stop(self) -> None:
        """In order, SIGKILL when its grace is over."""
        if self._child is not None:
            if self.running:
                self.thaw()
            await self._child.stop(self._grace_s)

    def told(self) -> str:
        """The end of its log."""
        return self.log.read_bytes()[-1500:].decode("utf-8", "replace")
