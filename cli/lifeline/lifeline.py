"""Start, signal and wait for children; see the package's docstring for the idea."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self


class Child:
    """One started process. `pid` is the process itself, not a wrapper of it."""

    def __init__(self, process: asyncio.subprocess.Process, lifeline: "Lifeline") -> None:
        self._process = process
        self._lifeline = lifeline
        self.pid = process.pid

    @property
    def returncode(self) -> int | None:
        """None while it runs; negative when a signal ended it."""
        return self._process.returncode

    async def wait(self) -> int:
        """Wait for its end and return its exit code; may be called by several waiters."""
        code = await self._process.wait()
        self._lifeline.forget(self.pid)
        return code

    def signal(self, number: signal.Signals) -> None:
        """Send a signal; a process that has ended already is no error."""
        if self.returncode is None:
            self._process.send_signal(number)

    async def stop(self, grace_s: float) -> int:
        """SIGTERM, then SIGKILL when it has not ended within `grace_s`; its exit code."""
        self.signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(grace_s):
                return await self.wait()
        except TimeoutError:
            self.signal(signal.SIGKILL)
            return await self.wait()


class Lifeline:
    """An async context manager; leaving it ends every child that still runs."""

    def __init__(self) -> None:
        self._reaper: subprocess.Popen[bytes] | None = None
        self._children: dict[int, Child] = {}

    async def __aenter__(self) -> Self:
        """Start the reaper."""
        reaper = Path(__file__).with_name("reaper.py")
        self._reaper = subprocess.Popen(  # noqa: ASYNC220 - 2 ms; the pipe must outlive the loop
            [sys.executable, "-I", "-S", str(reaper)],
            stdin=subprocess.PIPE,
            start_new_session=True,
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Let the reaper end what is left, and wait for it."""
        reaper, self._reaper = self._reaper, None
        if reaper is None:
            return
        if reaper.stdin is not None:
            reaper.stdin.close()
        await asyncio.gather(*(child.wait() for child in tuple(self._children.values())))
        await asyncio.to_thread(reaper.wait)

    async def spawn(
        self,
        argv: Sequence[str],
        *,
        log: Path,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
    ) -> Child:
        """Start `argv` with its output in `log`; the log of the run before stays beside it.

        `env` is added to this process's environment. Errors: `OSError` as `exec` gives it.
        """
        if log.exists():
            log.replace(log.with_name(log.name + ".1"))
        with log.open("wb") as output:
            process = await asyncio.create_subprocess_exec(
                *argv,
                cwd=cwd,
                env={**os.environ, **(env or {})},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._tell(f"+{process.pid}")
        child = Child(process, self)
        self._children[process.pid] = child
        return child

    def forget(self, pid: int) -> None:
        """Take an ended child off the list, before its number is given to another process."""
        if self._children.pop(pid, None) is not None:
            self._tell(f"-{pid}")

    def _tell(self, line: str) -> None:
        """Write one line to the reaper; nothing to tell once the lifeline is closing."""
        if self._reaper is None or self._reaper.stdin is None:
            return
        # A reaper that somebody killed costs its protection, not our own orderly stop.
        with contextlib.suppress(BrokenPipeError):
            self._reaper.stdin.write(f"{line}\n".encode())
            self._reaper.stdin.flush()
