"""Dispatcher processes: the product's own composition root, on doubles of what lies outside of it."""

import asyncio
import contextlib
import contextvars
import signal
import sys
import uuid
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any
from unittest import mock

from simulation.broker import Broker
from simulation.clients import Clients
from simulation.clock import CURRENT, EPOCH_S, Process, VirtualLoop
from simulation.upstream import Model

import headrace.dispatcher.app as app_module
import headrace.dispatcher.clock as clock_module
from headrace.dispatcher.app import App
from headrace.schemas.config.model import Config

DOUBLED = {
    "AIOKafkaProducer": "producer",
    "AIOKafkaConsumer": "consumer",
    "AIOKafkaAdminClient": "admin",
}
RESTART_S = 1.0


class Log:
    """Keeps what is logged as a warning or worse, for whoever looks at a failing seed."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop
        self.lines: list[str] = []

    def debug(self, event: str, **fields: Any) -> None:
        """Not kept."""

    def info(self, event: str, **fields: Any) -> None:
        self._keep(event, fields)

    def warning(self, event: str, **fields: Any) -> None:
        self._keep(event, fields)

    def error(self, event: str, **fields: Any) -> None:
        self._keep(event, fields)

    def _keep(self, event: str, fields: dict[str, Any]) -> None:
        process = CURRENT.get()
        name = process.name if process else "-"
        self.lines.append(f"{self._loop.time():9.3f} {name} {event} {fields}")


class _Probe:
    """The HTTP side of a process has no part in this."""

    def __init__(self, *_: Any) -> None:
        pass

    async def start(self) -> None:
        pass

    async def close(self) -> None:
        pass


class Fleet:
    """All dispatchers of a run; one that ends by itself is started again, as a supervisor does."""

    def __init__(self, config: Config, broker: Broker, model: Model, loop: VirtualLoop) -> None:
        self._config = config
        self._broker = broker
        self._loop = loop
        self.log = Log(loop)
        self.processes: list[Process] = []
        """All that ever were."""
        self.struck: set[Process] = set()
        """Those that were killed or frozen, or that ended by themselves."""
        self.failures: list[str] = []
        self.over = False
        """The run has been judged: what ends now is not started again."""
        self._skew: dict[Process, float] = {}
        self._runs: dict[Process, asyncio.Task[None]] = {}

    def start(self, *, skew_s: float = 0.0) -> Process:
        """A new process; `skew_s` is how wrong its host's clock is."""
        process = Process(f"p{len(self.processes)}")
        self.processes.append(process)
        self._skew[process] = skew_s
        context = contextvars.copy_context()
        context.run(CURRENT.set, process)
        task = self._loop.create_task(self._run(), context=context)
        self._runs[process] = task
        task.add_done_callback(
            lambda done: self._ended(process, done), context=contextvars.Context()
        )
        return process

    def running(self) -> list[Process]:
        """Those that work."""
        return [p for p, run in self._runs.items() if p.alive and not run.done()]

    def kill(self, process: Process) -> None:
        """SIGKILL."""
        self.struck.add(process)
        self._broker.note("kill", process.name)
        self._loop.kill(process)

    def freeze(self, process: Process) -> None:
        """SIGSTOP."""
        self.struck.add(process)
        self._broker.note("freeze", process.name)
        self._loop.freeze(process)

    def stop(self, process: Process) -> None:
        """SIGTERM."""
        self._broker.note("stop", process.name)
        if process in self._loop.signals:
            self._loop.signal(process, signal.SIGTERM)
        else:
            self.kill(process)

    async def stopped(self) -> None:
        """Wait for all that still run."""
        runs = [self._runs[process] for process in self.running()]
        if runs:
            await asyncio.wait(runs)

    def time(self) -> float:
        """The wall clock of the current process's host."""
        process = CURRENT.get()
        return EPOCH_S + self._loop.time() + (self._skew[process] if process else 0.0)

    def monotonic(self) -> float:
        """Its monotonic clock."""
        return 1000.0 + self._loop.time()

    async def _run(self) -> None:
        await App(self._config, self.log).run()  # type: ignore[arg-type]

    def _ended(self, process: Process, run: "asyncio.Task[None]") -> None:
        error = None if run.cancelled() else run.exception()
        if self.over:
            return
        process.alive = False
        if error is not None:
            self.struck.add(process)
            self.failures.append(f"{self._loop.time():.3f} {process.name}: {error!r}")
            self._loop.call_later(RESTART_S, self.start, context=contextvars.Context())


@contextlib.contextmanager
def doubled(fleet: Fleet, clients: Clients, model: Model, rng: Any) -> Iterator[None]:
    """Put the doubles where the dispatcher's modules name the real things."""
    uuids = SimpleNamespace(uuid4=lambda: uuid.UUID(int=rng.getrandbits(128)))
    with contextlib.ExitStack() as stack:
        for name, module in list(sys.modules.items()):
            if name.startswith("headrace.dispatcher.kafka"):
                for real, double in DOUBLED.items():
                    if hasattr(module, real):
                        stack.enter_context(
                            mock.patch.object(module, real, getattr(clients, double))
                        )
        stack.enter_context(mock.patch.object(app_module, "uuid4", uuids.uuid4))
        stack.enter_context(mock.patch.object(app_module, "Probe", _Probe))
        stack.enter_context(mock.patch.object(app_module, "OpenAIUpstream", model.client))
        stack.enter_context(mock.patch.object(clock_module, "time", fleet))
        yield
