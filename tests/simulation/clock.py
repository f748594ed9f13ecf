"""An event loop on virtual time: it jumps to the next timer, and knows which process a callback is of."""

import asyncio
import heapq
from asyncio import base_events
from collections import deque
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from typing import Any

EPOCH_S = 1_790_000_000.0
"""The broker's wall clock at virtual time 0."""
MAX_IDLE_TURNS = 200_000
"""Turns of the loop without any time passing: something spins."""

UNWIND_ROUNDS = 50


class Process:
    """Whose tasks run: each task belongs to the process that was current when it was made."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.alive = True
        self.frozen = False
        self.tasks: set[asyncio.Task[Any]] = set()
        self.held: list[asyncio.Handle] = []


CURRENT: ContextVar[Process | None] = ContextVar("CURRENT", default=None)


class Deadlock(Exception):
    """Nothing can ever happen any more."""


class VirtualLoop(base_events.BaseEventLoop):
    """No sockets, no threads, no signals, no sleeping."""

    _ready: deque[asyncio.Handle]
    _scheduled: list[asyncio.TimerHandle]

    def __init__(self) -> None:
        super().__init__()
        self._now = 0.0
        self._idle = 0
        self.turns = 0
        self.signals: dict[Process, dict[int, Callable[[], object]]] = {}
        self.set_task_factory(_make_task)

    def time(self) -> float:
        """Virtual seconds since the loop was made."""
        return self._now

    @property
    def epoch_ms(self) -> int:
        """The broker's clock."""
        return round((EPOCH_S + self._now) * 1000)

    def add_signal_handler(self, sig: int, callback: Callable[..., object], *args: object) -> None:
        """Remember it for `signal` of the current process."""
        process = CURRENT.get()
        assert process is not None
        self.signals.setdefault(process, {})[sig] = lambda: callback(*args)

    def signal(self, process: Process, sig: int) -> None:
        """Send a signal, as a kernel would."""
        self.signals[process][sig]()

    def freeze(self, process: Process) -> None:
        """Run nothing of `process` until `thaw`."""
        process.frozen = True

    def thaw(self, process: Process) -> None:
        """Go on with all that waited."""
        process.frozen = False
        self._ready.extend(process.held)
        process.held.clear()

    def kill(self, process: Process) -> None:
        """Run nothing of `process` any more: what it still holds is dropped by `unwind`."""
        process.alive = False

    def unwind(self, processes: Iterable[Process]) -> None:
        """After a run: bring all tasks to their end, those of killed processes too, and close."""
        for process in processes:
            process.alive = True
            self.thaw(process)
        for _ in range(UNWIND_ROUNDS):
            pending = asyncio.all_tasks(self)
            for task in pending:
                task.cancel()
            if not pending:
                break
            self.run_until_complete(asyncio.sleep(1.0))
        self.close()

    def _run_once(self) -> None:
        scheduled, ready = self._scheduled, self._ready
        while scheduled and scheduled[0]._cancelled:
            heapq.heappop(scheduled)._scheduled = False
        if not ready:
            if not scheduled:
                raise Deadlock
            if scheduled[0]._when > self._now:
                self._now, self._idle = scheduled[0]._when, 0
        self._idle += 1
        if self._idle > MAX_IDLE_TURNS:
            raise Deadlock(f"time stands still at {self._now}")
        while scheduled and scheduled[0]._when <= self._now:
            handle = heapq.heappop(scheduled)
            handle._scheduled = False
            ready.append(handle)
        for _ in range(len(ready)):
            self._run(ready.popleft())

    def _run(self, handle: asyncio.Handle) -> None:
        if handle._cancelled:
            return
        context = handle._context
        process = context.get(CURRENT, None) if context is not None else None
        if process is not None and (process.frozen or not process.alive):
            process.held.append(handle)
            return
        self.turns += 1
        handle._run()

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """Cancelled timers leave when their time comes."""

    def _write_to_self(self) -> None:
        """There is no other thread to be woken by."""

    def _process_events(self, _event_list: list[Any]) -> None:
        """There are no sockets."""


def _make_task(
    loop: asyncio.AbstractEventLoop, coro: Any, *, context: Any = None, **kwargs: Any
) -> "asyncio.Task[Any]":
    task: asyncio.Task[Any] = asyncio.Task(coro, loop=loop, context=context, **kwargs)
    process = CURRENT.get() if context is None else context.get(CURRENT, None)
    if process is not None:
        process.tasks.add(task)
        task.add_done_callback(process.tasks.discard)
    return task
