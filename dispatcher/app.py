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

from headrace.dispatcher.attempt import Attempts
from headrace.dispatcher.clock import BrokerTime
from headrace.dispatcher.fleet import Fleet
from headrace.dispatcher.kafka.directory import Directory
from headrace.dispatcher.kafka.follower import Follower
from headrace.dispatcher.kafka.groups import groups
from headrace.dispatcher.kafka.journals import JournalWriter
from headrace.dispatcher.kafka.membership import Membership
from headrace.dispatcher.kafka.outbox import Outbox
from headrace.dispatcher.kafka.reach import Reach
from headrace.dispatcher.kafka.replies import Replies
from headrace.dispatcher.kafka.source import Source
from headrace.dispatcher.kafka.sources import AllSources
from headrace.dispatcher.kafka.takeover import Takeover
from headrace.dispatcher.loop import Dispatcher
from headrace.dispatcher.metrics import Metrics
from headrace.dispatcher.policy.retry import RetryPolicy
from headrace.dispatcher.seats import Seats
from headrace.dispatcher.settle import Settlement
from headrace.dispatcher.upstreams import OpenAIUpstream
from headrace.schemas.config.load import load
from headrace.schemas.config.model import Config
from headrace.schemas.errors import Code
from headrace.schemas.journal import ProcessId
from headrace.schemas.topics import Topics
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
        self._process = ProcessId(f"d-{uuid4().hex[:12]}")
        self._topics = Topics(config.kafka.topic_prefix)
        self._clock = BrokerTime()
        self._state = _State.STARTING
        registry = CollectorRegistry()
        self._metrics = Metrics(registry)
        self._probe = Probe(config.dispatcher.metrics_listen, registry, self._problems)
        self._fleet = Fleet(self._process)
        self._control, self._finals, self._chunks, self._bulk = self._outboxes()
        self._journals = JournalWriter(self._control, config.dispatcher.journal_linger_ms / 1000)
        self._replies = Replies(
            source=self._process.encode(),
            finals=self._finals,
            chunks=self._chunks,
            bulk=self._bulk,
            log=log,
        )
        self._reach = Reach(config, f"{self._process}-admin", log)
        self._seats = Seats(config.deployments)
        self._upstream = OpenAIUpstream(config.deployments, config.dispatcher)
        self._settlement = Settlement(
            topics=self._topics,
            outbox=self._finals,
            replies=self._replies,
            journals=self._journals,
            metrics=self._metrics,
            log=log,
        )
        self._sources = AllSources(
            journals=self._journals,
            fleet=self._fleet,
            clock=self._clock,
            metrics=self._metrics,
            commit_s=config.dispatcher.commit_interval_s,
            snap_s=config.dispatcher.snap_interval_s,
        )
        self._dispatcher = Dispatcher(
            config,
            sources=self._sources,
            attempts=self._attempts(),
            settlement=self._settlement,
            seats=self._seats,
            fleet=self._fleet,
            metrics=self._metrics,
            clock=self._clock,
        )
        self._follower = Follower(config.kafka, f"{self._process}-follower", log)
        self._membership = Membership(
            topics=self._topics,
            fleet=self._fleet,
            follower=self._follower,
            admin=self._reach.admin,
            control=self._control,
            clock=self._clock,
            cancelled=self._dispatcher.cancel,
            log=log,
        )
        self._joined: list[Source] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._stopping = asyncio.Event()

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
        await self._reach.connect(
            self._control, self._finals, self._chunks, self._bulk, self._follower
        )
        self._settlement.event_partitions = await self._reach.partitions(self._topics.events)
        self._background(
            self._follower.run(), self._journals.run(), self._replies.run(), self._membership.beat()
        )
        await self._membership.catch_up()
        self._join()
        await asyncio.gather(*(source.start() for source in self._joined))
        self._background(*(source.run() for source in self._joined))
        self._state = _State.SERVING
        self._log.info("dispatcher_ready", process=self._process)

    async def _hand_over(self) -> None:
        """Leave the groups first, so that successors start while the last calls end here."""
        self._state = _State.STOPPING
        failed = self._dispatcher.failure is not None
        await asyncio.gather(*(source.close() for source in self._joined))
        await self._dispatcher.finish(0.0 if failed else self._config.dispatcher.drain_s)
        await self._journals.flush()
        await asyncio.gather(*(source.release() for source in self._joined))
        self._log.info("dispatcher_stopped", process=self._process)

    async def _close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for outbox in (self._finals, self._chunks, self._bulk, self._control):
            await outbox.close()
        await self._upstream.close()
        await self._follower.close()
        await self._reach.close()
        await self._probe.close()

    def _stop(self) -> None:
        self._stopping.set()
        self._dispatcher.stop()

    def _join(self) -> None:
        """Make the consumers; each joins its group when it is started."""
        takeover = Takeover(
            process=self._process,
            topics=self._topics,
            journals=self._journals,
            follower=self._follower,
            admin=self._reach.admin,
            freed=self._sources.freed,
            log=self._log,
        )
        for group in groups(self._topics, self._config.lanes):
            source = Source(
                self._config,
                group,
                takeover=takeover,
                journals=self._journals,
                sink=self._sources.arrived,
                room=self._dispatcher.room,
                revoked=self._dispatcher.revoked,
                log=self._log,
            )
            self._joined.append(source)
            self._sources.add(source)

    def _attempts(self) -> Attempts:
        policies = {
            model: RetryPolicy(attempts=settings.retry.attempts)
            for model, settings in self._config.models.items()
        }
        return Attempts(
            upstream=self._upstream,
            policies=policies,
            replies=self._replies,
            settlement=self._settlement,
            journals=self._journals,
            metrics=self._metrics,
            clock=self._clock,
            seats=self._seats,
            directory=Directory(self._topics, self._reach.admin, self._clock, self._log),
        )

    def _outboxes(self) -> tuple[Outbox, Outbox, Outbox, Outbox]:
        kafka, log, name = self._config.kafka, self._log, self._process
        return (
            Outbox(kafka, f"{name}-control", log, acked=self._clock.acked),
            Outbox(kafka, f"{name}-outcomes", log),
            Outbox(kafka, f"{name}-chunks", log),
            Outbox(kafka, f"{name}-bulk", log, compression="zstd"),
        )

    def _problems(self) -> list[str]:
        if self._state is _State.STARTING:
            return [self._reach.problem.value]
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
        if not task.cancelled() and (error := task.exception()) is not None:
            self._dispatcher.fail(error)


def run(config_path: Path) -> None:
    """Run one dispatcher process with the configuration at `config_path`, until SIGTERM."""
    configure("dispatcher")
    config = load(config_path, os.environ)
    uvloop.run(_serve(config))


async def _serve(config: Config) -> None:
    await App(config, get_log()).run()
