"""The dispatcher's composition root: builds the parts, starts them, and stops them in order.

Start: probe, producers, topics there, journals and fleet followed, then the groups are joined; nothing
is read before this process sees its own beats.
Stop (SIGTERM): start nothing more; SNAP, commit and leave the groups, so that successors take over at
once and wait for what runs here; finish the calls while beating; release; close the producers.
"""

import asyncio
import os
import signal
from collections.abc import Coroutine
from enum import Enum, auto
from pathlib import Path
from uuid import uuid4

import uvloop
from prometheus_client import CollectorRegistry

from headrace.dispatcher.breakers.board import Breakers
from headrace.dispatcher.clock import BrokerTime
from headrace.dispatcher.fleet import Fleet
from headrace.dispatcher.gate import Gatekeeper
from headrace.dispatcher.governed import Governed
from headrace.dispatcher.kafka.wiring import Wiring
from headrace.dispatcher.metrics import Metrics
from headrace.dispatcher.operated import Operated
from headrace.dispatcher.overheard import Overheard
from headrace.dispatcher.parts import Parts, dispatcher_of
from headrace.dispatcher.seats import Seats
from headrace.dispatcher.upstreams import OpenAIUpstream
from headrace.schemas.config.load import load
from headrace.schemas.config.model import Config
from headrace.schemas.errors import Code
from headrace.schemas.journal import ProcessId
from headrace.telemetry.garbage import calm
from headrace.telemetry.logs import Log, configure, get_log
from headrace.telemetry.probe import Probe

LEAVE_S = 15.0
"""What handing over may take beside the grace of the running calls, also when Kafka is away."""


class _State(Enum):
    STARTING = auto()
    SERVING = auto()
    STOPPING = auto()


class App:
    """All parts of one dispatcher process."""

    def __init__(self, config: Config, log: Log) -> None:
        self._config = config
        self._log = log
        self._state = _State.STARTING
        self._clock = BrokerTime()
        self._fleet = Fleet(ProcessId(f"d-{uuid4().hex[:12]}"))
        self._operated = Operated(log)
        registry = CollectorRegistry()
        metrics = Metrics(registry)
        self._probe = Probe(config.dispatcher.metrics_listen, registry, self._problems)
        seats = Seats(config.deployments)
        governed = Governed(config)
        breakers = Breakers(config, self._fleet.own)
        overheard = Overheard([one.name for one in config.deployments if one.limits.adaptive])
        self._gates = self._gatekeeper(governed, seats, breakers, metrics)
        self._kafka = Wiring(
            config,
            fleet=self._fleet,
            clock=self._clock,
            metrics=metrics,
            log=log,
            breakers=breakers,
            overheard=overheard,
            in_hand=self._gates.credits if self._gates is not None else None,
        )
        self._upstream = OpenAIUpstream(config.deployments, config.dispatcher, governed.deployments)
        self._dispatcher = dispatcher_of(
            Parts(
                config,
                kafka=self._kafka,
                upstream=self._upstream,
                seats=seats,
                breakers=breakers,
                operated=self._operated,
                overheard=overheard,
                gates=self._gates,
                fleet=self._fleet,
                metrics=metrics,
                clock=self._clock,
                log=log,
            )
        )
        self._tasks: list[asyncio.Task[None]] = []
        self._stopping = asyncio.Event()
        self._closing = False

    async def run(self) -> None:
        """Serve until SIGTERM or SIGINT. Raises what made this process fail."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop)
        await self._probe.start()
        try:
            if await self._unless_stopped(self._start()):
                await self._dispatcher.run()
            async with asyncio.timeout(self._config.dispatcher.drain_s + LEAVE_S):
                await self._hand_over()
        finally:
            await self._close()
        if self._dispatcher.failure is not None:
            raise self._dispatcher.failure

    async def _unless_stopped(self, starting: Coroutine[None, None, None]) -> bool:
        """Whether `starting` came to its end before a signal did."""
        start = asyncio.create_task(starting)
        stop = asyncio.create_task(self._stopping.wait())
        await asyncio.wait((start, stop), return_when=asyncio.FIRST_COMPLETED)
        stop.cancel()
        if start.done():
            start.result()
            return True
        start.cancel()
        await asyncio.wait((start,))
        return False

    async def _start(self) -> None:
        await self._upstream.__aenter__()
        await self._kafka.connect()
        membership = self._kafka.membership(self._dispatcher.cancel)
        self._background(*self._kafka.writers(), membership.beat())
        await self._kafka.reach.patiently(membership.catch_up)
        await self._kafka.reach.patiently(self._kafka.settings(self._operated).catch_up)
        await self._kafka.reach.patiently(self._kafka.obey)
        self._background(*await self._kafka.join(self._dispatcher))
        self._state = _State.SERVING
        self._log.info("dispatcher_ready", process=self._fleet.own)

    async def _hand_over(self) -> None:
        """Leave the groups first, so that successors start while the last calls end here."""
        self._state = _State.STOPPING
        failed = self._dispatcher.failure is not None
        await self._kafka.leave()
        await self._dispatcher.finish(0.0 if failed else self._config.dispatcher.drain_s)
        await self._kafka.release()
        self._log.info("dispatcher_stopped", process=self._fleet.own)

    async def _close(self) -> None:
        self._closing = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._kafka.close()
        await self._upstream.close()
        await self._probe.close()

    def _stop(self) -> None:
        self._stopping.set()
        if self._gates is not None:
            self._gates.credits.rest()
        self._dispatcher.stop()

    def _gatekeeper(
        self, governed: Governed, seats: Seats, breakers: Breakers, metrics: Metrics
    ) -> Gatekeeper | None:
        """None where no deployment has limits of the whole fleet: then nothing of it runs."""
        if not governed.deployments:
            return None
        return Gatekeeper(
            self._config,
            governed,
            self._fleet.own,
            seats=seats,
            breakers=breakers,
            metrics=metrics,
            clock=self._clock,
            operated=self._operated,
        )

    def _problems(self) -> list[str]:
        if self._state is _State.STARTING:
            return [self._kafka.reach.problem.value]
        if self._state is _State.STOPPING:
            return [Code.SHUTTING_DOWN.value]
        if self._fleet.fenced(self._clock.monotonic()):
            return [Code.KAFKA_UNAVAILABLE.value]
        return []

    def _background(self, *works: Coroutine[None, None, None]) -> None:
        for work in works:
            task = asyncio.create_task(work)
            task.add_done_callback(self._background_ended)
            self._tasks.append(task)

    def _background_ended(self, task: "asyncio.Task[None]") -> None:
        if self._closing:
            return
        # A cancellation that nobody asked for has leaked out of a library: nothing would go on.
        error = RuntimeError("cancelled") if task.cancelled() else task.exception()
        if error is not None:
            self._dispatcher.fail(error)
            self._stopping.set()


def run(config_path: Path) -> None:
    """Run one dispatcher process with the configuration at `config_path`, until SIGTERM."""
    config = load(config_path, os.environ)
    configure("dispatcher")
    uvloop.run(_serve(config))


async def _serve(config: Config) -> None:
    app = App(config, get_log())
    calm()
    await app.run()
