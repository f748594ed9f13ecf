"""One process of a stack: started, signalled and waited for by name."""

import asyncio
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

from headrace.cli.lifeline import Child, Lifeline
from headrace.cli.up.errors import StartFailed
from headrace.cli.up.http import status_of
from headrace.cli.up.services import Service

READY_PAUSE_S = 0.03
LOG_TAIL_BYTES = 2000


class Role:
    """A process that can be ended and started again; `log` has what its present run wrote."""

    def __init__(
        self,
        service: Service,
        lifeline: Lifeline,
        *,
        log: Path,
        environ: Mapping[str, str],
    ) -> None:
        self.name = service.name
        self.log = log
        self._service = service
        self._lifeline = lifeline
        self._environ = {**environ, **service.environ}
        self._child: Child | None = None

    @property
    def pid(self) -> int:
        """The process itself. `RuntimeError` before the first start."""
        if self._child is None:
            raise RuntimeError(f"{self.name} has not been started")
        return self._child.pid

    @property
    def running(self) -> bool:
        """Whether it has been started and has not ended yet."""
        return self._child is not None and self._child.returncode is None

    async def start(self) -> None:
        """Start it; nothing to do while it runs. Ready comes later: `ready`."""
        if not self.running:
            command = (sys.executable, "-m", "headrace.cli.main", *self._service.arguments)
            self._child = await self._lifeline.spawn(command, log=self.log, env=self._environ)

    def terminate(self) -> None:
        """SIGTERM: it drains and ends; wait for it with `wait`."""
        if self._child is not None:
            self._child.signal(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL, as a crash would end it."""
        if self._child is not None:
            self._child.signal(signal.SIGKILL)

    async def wait(self) -> int:
        """Wait for its end; the exit code, negative for a signal."""
        if self._child is None:
            raise RuntimeError(f"{self.name} has not been started")
        return await self._child.wait()

    async def stop(self) -> None:
        """SIGTERM, and SIGKILL when its grace is over; nothing to do when it has ended."""
        if self._child is not None:
            await self._child.stop(self._service.grace_s)

    async def ready(self, within_s: float) -> None:
        """Wait until its readiness answers 200. Errors: `StartFailed` when it ends or is late."""
        try:
            async with asyncio.timeout(within_s):
                while (status := await status_of(self._service.ready_url)) != 200:
                    self._must_run()
                    await asyncio.sleep(READY_PAUSE_S)
                self._must_run()  # somebody else may have answered on its port
        except TimeoutError:
            late = f"{self.name} was not ready within {within_s:.0f} s (readiness {status})"
            raise StartFailed(f"{late}; {self._told()}") from None

    def _must_run(self) -> None:
        if not self.running:
            raise StartFailed(f"{self.name} ended at its start; {self._told()}")

    def _told(self) -> str:
        tail = self.log.read_bytes()[-LOG_TAIL_BYTES:].decode("utf-8", "replace")
        return f"{self.log} ends:\n{tail}"
