"""The tasks that a loop starts: none is forgotten, and one that fails is told of."""

import asyncio
from collections.abc import Callable, Coroutine


class Tasks:
    """Tasks of one owner, in its event loop."""

    def __init__(self, failed: Callable[[BaseException], None]) -> None:
        """`failed` is told what ended a task that was not cancelled."""
        self._failed = failed
        self._running: set[asyncio.Task[None]] = set()

    def spawn(self, work: Coroutine[None, None, None]) -> None:
        """Run `work` beside the caller."""
        task = asyncio.get_running_loop().create_task(work)
        self._running.add(task)
        task.add_done_callback(self._ended)

    async def finish(self, grace_s: float, abort: Callable[[], None]) -> None:
        """Wait for all; once the grace is over `abort` is called, and what then remains is waited for."""
        if self._running:
            await asyncio.wait(self._running, timeout=grace_s)
        abort()
        while self._running:
            await asyncio.wait(self._running)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._failed(error)
