"""The governor's composition root: builds the parts, starts them, and stops them in order.

Start: probe, Kafka and its topics, the grants read to their end; then turns are taken.
Stop (SIGTERM): take no more turns, close the producer, then the readers. Nothing is handed over: a standby
claims when it has read no beat for a while, and finds in the log all that there is to know.
"""

import asyncio
import os
import signal
from collections.abc import Coroutine
from pathlib import Path
from uuid import uuid4

import uvloop
from prometheus_client import CollectorRegistry

from headrace.dispatcher.clock import BrokerTime
from headrace.dispatcher.governing.breakers import Breakers
from headrace.dispatcher.governing.governor import Governor
from headrace.dispatcher.governing.metrics import Metrics
from headrace.dispatcher.governor.changed import changed
from headrace.dispatcher.governor.configured import policy_of, tree_of
from headrace.dispatcher.governor.tree import Tree
from headrace.dispatcher.kafka.limit_log import LimitLog
from headrace.schemas.config.load import load
from headrace.schemas.config.model import Config
from headrace.schemas.errors import Code
from headrace.schemas.journal import ProcessId
from headrace.schemas.topics import Topics
from headrace.telemetry.garbage import calm
from headrace.telemetry.logs import Log, configure, get_log
from headrace.telemetry.probe import Probe

CLOSE_S = 0.8
"""How long saying good-bye to Kafka may take: there is nothing that must still be sent."""


class App:
    """All parts of one governor process."""

    def __init__(self, config: Config, tree: Tree, log: Log) -> None:
        """`tree`: what `config` limits."""
        self._log = log
        self._name = ProcessId(f"g-{uuid4().hex[:12]}")
        registry = CollectorRegistry()
        reports = Topics(config.kafka.topic_prefix).limit_reports
        metrics, clock = Metrics(registry, reports), BrokerTime()
        self._limits = LimitLog(
            config,
            self._name,
            acked=clock.acked,
            failed=metrics.failed,
            unreadable=metrics.unreadable,
            log=log,
        )
        self._breakers = Breakers(config, self._limits, metrics=metrics, log=log)
        self.governor = Governor(
            self._name,
            tree,
            policy_of(config),
            limits=self._limits,
            breakers=self._breakers,
            clock=clock,
            metrics=metrics,
            log=log,
        )
        self._config, self._configured = config, tree
        self.governor.operated.listeners.append(self._obey)
        self._probe = Probe(config.governor.metrics_listen, registry, self._problems)
        self._started = False
        self._stopping = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def run(self) -> None:
        """Serve until SIGTERM or SIGINT. Raises what made this process fail."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)
        await self._probe.start()
        self._background(self._serve())
        await self._stopping.wait()
        ended = [task for task in self._tasks if task.done()]
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks)
        await self._close()
        for task in ended:
            # A cancellation that nobody asked for has leaked out of a library: nothing would go on.
            raise RuntimeError("a part has ended") from (
                None if task.cancelled() else task.exception()
            )

    def stop(self) -> None:
        """End in order."""
        self._stopping.set()

    async def _serve(self) -> None:
        await self._limits.connect()
        self._background(*self._limits.works(), *self._breakers.works())
        await self.governor.start()
        self._started = True
        self._log.info("governor_ready", process=self._name)
        await self.governor.run()

    async def _close(self) -> None:
        closing = asyncio.create_task(self._limits.close())
        await asyncio.wait((closing,), timeout=CLOSE_S)
        if closing.done():
            closing.result()
        await self._probe.close()
        self._log.info("governor_stopped", process=self._name)

    def _obey(self, _now_ms: int) -> None:
        """Operators set something, or it has ended."""
        limits = self.governor.operated.limits
        tree = tree_of(changed(self._config, limits)) if limits else self._configured
        self.governor.limit(tree)

    def _problems(self) -> list[str]:
        if self._stopping.is_set():
            return [Code.SHUTTING_DOWN.value]
        if not self._started:
            return [self._limits.reach.problem.value]
        return [Code.KAFKA_UNAVAILABLE.value] if self.governor.deaf else []

    def _background(self, *works: Coroutine[None, None, None]) -> None:
        """Run these until the end; one that ends by itself ends the process."""
        for work in works:
            task = asyncio.create_task(work)
            task.add_done_callback(lambda _: self.stop())
            self._tasks.append(task)


def run(config_path: Path) -> None:
    """Run one governor process with the configuration at `config_path`, until SIGTERM."""
    config = load(config_path, os.environ)
    configure("governor")
    uvloop.run(serve(config, tree_of(config)))


async def serve(config: Config, tree: Tree) -> None:
    """Keep the limits of `tree` until SIGTERM."""
    app = App(config, tree, get_log())
    calm()
    await app.run()
