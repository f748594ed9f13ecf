"""Composition root of the ingress role: makes the parts, runs them, and takes them down in order.

Shutdown order:
1. Readiness and every new request say `shutting_down`; the doors stay open for load balancers to see it.
2. Requests that wait, here or at a replica that took them up, get their answers, for at most `drain_s`;
   the rest gets an error, and is cancelled.
3. The HTTP server closes its connections.
4. Cancels still on their way are handed to Kafka; the link closes its producers and its reader; the
   index writes down how far it has read.
"""

import asyncio
import os
import random
import socket
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Self

from headrace.ingress.accounts import Accounts
from headrace.ingress.board import BoardPolicy, ReplyBoard
from headrace.ingress.forecast import Forecast
from headrace.ingress.hot import HotRoutes
from headrace.ingress.ids import RANDOM_BITS, uuid7
from headrace.ingress.index import Indexing
from headrace.ingress.jobs.assembly import Jobs
from headrace.ingress.kafka.cancels import Cancels
from headrace.ingress.kafka.forward import Forward
from headrace.ingress.kafka.link import Link
from headrace.ingress.kafka.outbox import Outbox
from headrace.ingress.kafka.outlook import OutlookReader
from headrace.ingress.kafka.reader import ReplyReader
from headrace.ingress.keys.assembly import Keys
from headrace.ingress.metrics import Metrics
from headrace.ingress.policy import AdmissionPolicy, admission_policy
from headrace.ingress.refusal import Refusal
from headrace.ingress.server import Server, listen_on
from headrace.ingress.services import Services
from headrace.ingress.web import web_app
from headrace.schemas.clock import BrokerClock
from headrace.schemas.config.clients import client_options
from headrace.schemas.config.load import load
from headrace.schemas.config.model import Config
from headrace.schemas.errors import Code
from headrace.schemas.names import InstanceId, RequestId
from headrace.schemas.topics import Topics
from headrace.telemetry.garbage import calm
from headrace.telemetry.logs import configure, get_log
from headrace.telemetry.probe import Probe

SWEEP_S = 0.1
_SHUTTING_DOWN = Refusal(Code.SHUTTING_DOWN, "This process is shutting down.", retry_after_s=1)


def run(config_path: Path) -> None:
    """Run the role until SIGTERM or SIGINT. Raises `ConfigError`."""
    config = load(config_path, os.environ)
    configure("ingress")
    if sys.platform == "win32":
        asyncio.run(serve(config))
    else:
        import uvloop

        uvloop.run(serve(config))


async def serve(config: Config) -> None:
    """Serve until a signal comes."""
    async with Ingress(config) as ingress:
        await ingress.until_stopped()


class Ingress:
    """One ingress process. An async context manager; leaving it drains."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._instance = InstanceId(
            f"{socket.gethostname()[:40]}-{os.getpid()}-{random.getrandbits(32):08x}"
        )
        self._log = get_log(instance=self._instance)
        self._stop = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        limits = config.ingress
        self._board = ReplyBoard(
            BoardPolicy(
                limits.max_waiters,
                limits.max_waiting_bytes,
                limits.max_stream_backlog_bytes,
                limits.keepalive_s,
            )
        )
        self._clock = BrokerClock(time.monotonic() * 1000 - time.time() * 1000)
        self._indexing = Indexing(config, self._instance, self._now_ms, self._log)
        self._connect_kafka_side()
        self._metrics = Metrics(self._board, version("headrace"), self._indexing.index)
        policy = admission_policy(config)
        services = self._open_rooms(policy)
        web = web_app(
            policy,
            self._trouble,
            self._new_id,
            version("headrace"),
            lambda: {"index": self._indexing.condition},
        )
        self._hot = HotRoutes(services, web)
        self._probe = Probe(limits.metrics_listen, self._metrics.registry, self._problems)
        self._server = Server(self._hot, self.stop)
        self._socket: socket.socket | None = None

    def _connect_kafka_side(self) -> None:
        config, board, log = self._config, self._board, self._log
        topics = Topics(config.kafka.topic_prefix)
        options = client_options(config.kafka)
        source = f"headrace/ingress/{self._instance}".encode()
        self._outbox = Outbox(config, source, board, self._clock, time.monotonic)
        self._cancels = Cancels(topics.control, source, log)
        reader = ReplyReader(options, self._instance, board, time.monotonic, log)
        self._forward = Forward(topics.replies, log)
        writers = (self._cancels, self._indexing.appender, self._forward)
        self._forecast = Forecast(config)
        self._outlook = OutlookReader(
            options, topics.limit_outlook, self._instance, self._forecast, log
        )
        self._link = Link(config, self._instance, self._outbox, reader, writers, log)

    def _open_rooms(self, policy: AdmissionPolicy) -> Services:
        """What treats requests with a kind or a key, and what all requests meet."""
        accounts = Accounts(self._metrics, self._log, time.monotonic)
        self._jobs = Jobs(
            self._config,
            instance=self._instance,
            policy=policy,
            board=self._board,
            indexing=self._indexing,
            outbox=self._outbox,
            cancels=self._cancels,
            accounts=accounts,
            metrics=self._metrics,
            now_ms=self._now_ms,
            monotonic=time.monotonic,
            new_id=self._new_id,
            log=self._log,
        )
        self._keys = Keys(
            self._config,
            instance=self._instance,
            policy=policy,
            board=self._board,
            indexing=self._indexing,
            jobs=self._jobs,
            link=self._link,
            forward=self._forward,
            cancels=self._cancels,
            metrics=self._metrics,
            now_ms=self._now_ms,
            monotonic=time.monotonic,
            log=self._log,
        )
        return Services(
            policy=policy,
            board=self._board,
            link=self._link,
            outbox=self._outbox,
            cancels=self._cancels,
            clock=self._clock,
            monotonic=time.monotonic,
            metrics=self._metrics,
            accounts=accounts,
            jobs=self._jobs,
            keys=self._keys,
            log=self._log,
            indexing=self._indexing,
            forecast=self._forecast,
            max_sync_wait_s=self._config.ingress.max_sync_wait_s,
        )

    @property
    def port(self) -> int:
        """The HTTP port, once entered."""
        if self._socket is None:
            raise RuntimeError("the ingress is not started")
        port: int = self._socket.getsockname()[1]
        return port

    def stop(self) -> None:
        """Begin to shut down; may be called from a signal, more than once."""
        if self._stop.is_set():
            self._server.should_exit = True
        self._stop.set()

    async def until_stopped(self) -> None:
        """Wait for `stop`, or for a part that failed beyond repair."""
        stopping = asyncio.create_task(self._stop.wait())
        done, _ = await asyncio.wait((stopping, *self._tasks), return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        for task in done - {stopping}:
            task.result()

    async def __aenter__(self) -> Self:
        self._socket = listen_on(self._config.ingress.listen)
        await self._probe.start()
        self._tasks = [
            asyncio.create_task(work, name=name)
            for name, work in (
                ("link", self._link.run()),
                ("cancels", self._cancels.run()),
                ("sweep", self._sweep()),
                *((("outlook", self._outlook.run()),) if self._config.limited else ()),
                *self._indexing.tasks(),
                *self._jobs.tasks(),
                *self._keys.tasks(),
                ("http", self._server.serve(sockets=[self._socket])),
            )
        ]
        await self._server.listening.wait()
        calm()
        host = self._config.ingress.listen.rpartition(":")[0]
        self._log.info("ingress_started", address=f"{host}:{self.port}")
        return self

    async def __aexit__(self, *_: object) -> None:
        self._hot.draining = True
        self._log.info("ingress_draining", count=len(self._board))
        await self._drained(self._config.ingress.drain_s)
        self._board.fail_all(_SHUTTING_DOWN)
        *background, http = self._tasks
        self._server.should_exit = True
        await asyncio.wait((http,))
        await self._cancels.flush()
        for task in background:
            task.cancel()
        for task in background:
            await asyncio.wait((task,))
            if not task.cancelled() and (failure := task.exception()) is not None:
                self._log.error("task_failed", reason=task.get_name(), error=repr(failure))
        await self._jobs.close()
        await self._indexing.close()
        await self._probe.close()
        self._log.info("ingress_stopped")

    async def _drained(self, within_s: float) -> None:
        """Wait until nothing waits here, or elsewhere for what comes here; not after a second `stop`, nor
        when the time is over.
        """
        ends_at = time.monotonic() + within_s
        # Three causes end it, one of them time: an event would serve one of them.
        while (  # noqa: ASYNC110
            (len(self._board) or self._keys.comebacks.sends_on)
            and time.monotonic() < ends_at
            and not self._server.should_exit
        ):
            await asyncio.sleep(SWEEP_S)

    async def _sweep(self) -> None:
        """The one timer of all requests."""
        while True:
            await asyncio.sleep(SWEEP_S)
            now = time.monotonic()
            if self._outbox.sweep(now):
                self._link.alarm()
            self._board.sweep(now)
            self._keys.comebacks.sweep(now)

    def _trouble(self) -> Refusal | None:
        return _SHUTTING_DOWN if self._hot.draining else self._link.trouble

    def _problems(self) -> list[str]:
        trouble = self._trouble()
        return [] if trouble is None else [trouble.code.value]

    def _now_ms(self) -> int:
        return self._clock.now_ms(time.monotonic() * 1000)

    def _new_id(self) -> RequestId:
        return uuid7(self._now_ms(), random.getrandbits(RANDOM_BITS))
