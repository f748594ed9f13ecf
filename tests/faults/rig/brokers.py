"""One or three real Kafka brokers on this machine, each a controller too, each behind a proxy if wanted.

How it works: every broker has two listeners for clients. Who asks CLIENT is told the brokers' own
addresses; who asks PROXIED is told those of proxies in this process. So one dispatcher can lose its
broker while all others keep theirs.
"""

import asyncio
import contextlib
import os
import resource
import signal
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from faults.rig.proxy import Proxy
from headrace.cli.lifeline import Child, Lifeline
from headrace.cli.localkafka import free_ports
from headrace.cli.localkafka.ahead import with_ahead_cache
from headrace.cli.localkafka.distribution import Distribution, find_distribution
from headrace.cli.localkafka.health import answers_metadata
from headrace.cli.localkafka.properties import LOG_FOLDER, Ports, properties_text
from headrace.cli.progress import Silent

START_LIMIT_S = 90.0
STOP_LIMIT_S = 20.0
CLUSTER_ID = "aGVhZHJhY2UtZmF1bHRzIQ"
LISTENERS = ("CLIENT", "PROXIED", "INTERNAL", "CONTROLLER")


class Broker:
    """One JVM; `proxy` stands before its PROXIED listener."""

    def __init__(
        self, distribution: Distribution, lifeline: Lifeline, folder: Path, number: int
    ) -> None:
        self.number = number
        self.name = f"kafka-{number}"
        self.folder = folder / self.name
        self.ports = dict(zip(LISTENERS, free_ports(len(LISTENERS)), strict=True))
        self.proxy = Proxy(self.ports["PROXIED"])
        self._distribution = distribution
        self._lifeline = lifeline
        self._child: Child | None = None

    @property
    def log(self) -> Path:
        """What Kafka itself wrote, from WARN up."""
        return self.folder / "kafka.log"

    @property
    def pid(self) -> int:
        """The JVM itself."""
        assert self._child is not None
        return self._child.pid

    @property
    def running(self) -> bool:
        """Whether the JVM has been started and has not ended."""
        return self._child is not None and self._child.returncode is None

    async def format(self, voters: str, properties: Mapping[str, str]) -> None:
        """Write the configuration and make the folder ready; once."""
        self.folder.mkdir(parents=True)
        text = properties_text(self._plain_ports(), {**self._own(voters), **properties})
        (self.folder / "server.properties").write_text(text, encoding="utf-8")
        arguments = ("format", f"--cluster-id={CLUSTER_ID}", "-c", "server.properties")
        child = await self._spawn("kafka.tools.StorageTool", *arguments)
        async with asyncio.timeout(START_LIMIT_S):
            if await child.wait():
                raise RuntimeError(f"formatting failed: {self.log.read_text()[-2000:]}")

    async def start(self) -> None:
        """Run it, after any end; `answers` waits for it."""
        self._child = await self._spawn("kafka.Kafka", "server.properties")

    async def answers(self) -> None:
        """Wait until it names itself. Raises `TimeoutError`."""
        async with asyncio.timeout(START_LIMIT_S):
            await answers_metadata(self.ports["INTERNAL"])

    async def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        if self._child is not None:
            await self._child.stop(0)

    async def stop(self) -> None:
        """In order: leaders move first."""
        if self._child is not None:
            await self._child.stop(STOP_LIMIT_S)

    async def wait(self) -> int:
        """Its exit code, when it ends by itself."""
        assert self._child is not None
        return await self._child.wait()

    def bound_files(self, size: int) -> None:
        """No file may grow beyond `size` bytes: the running JVM's writes fail as on a full disk."""
        resource.prlimit(self.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

    def freeze(self) -> None:
        """SIGSTOP."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT; one that has ended is no error."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGCONT)

    async def _spawn(self, main_class: str, *arguments: str) -> Child:
        command = self._distribution.command(main_class, *arguments)
        return await self._lifeline.spawn(command, log=self.log, cwd=self.folder)

    def _plain_ports(self) -> Ports:
        ports = self.ports
        return Ports(ports["CLIENT"], ports["INTERNAL"], ports["CONTROLLER"])

    def _own(self, voters: str) -> dict[str, str]:
        told = {**self.ports, "PROXIED": self.proxy.port}
        return {
            "node.id": str(self.number),
            "controller.quorum.voters": voters,
            "controller.quorum.bootstrap.servers": "",
            "listeners": _addresses(self.ports),
            "advertised.listeners": _addresses(told),
            "listener.security.protocol.map": ",".join(f"{one}:PLAINTEXT" for one in LISTENERS),
            "log.dirs": LOG_FOLDER,
        }


class Cluster:
    """`async with Cluster(folder, count) as cluster:`; every broker answers inside."""

    def __init__(
        self, folder: Path, count: int, properties: Mapping[str, str] | None = None
    ) -> None:
        self.folder = folder
        self.count = count
        self._properties = {**_copies(count), **(properties or {})}
        self._lifeline = Lifeline()
        self._opened = AsyncExitStack()
        self.brokers: list[Broker] = []

    async def __aenter__(self) -> Self:
        distribution = await asyncio.to_thread(_prepare)
        async with AsyncExitStack() as opening:
            await opening.enter_async_context(self._lifeline)
            self.brokers = [
                Broker(distribution, self._lifeline, self.folder, number)
                for number in range(1, self.count + 1)
            ]
            opening.push_async_callback(self._stop)
            voters = ",".join(
                f"{one.number}@127.0.0.1:{one.ports['CONTROLLER']}" for one in self.brokers
            )
            for one in self.brokers:
                await opening.enter_async_context(one.proxy)
                await one.format(voters, self._properties)
            await self.start()
            self._opened = opening.pop_all()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._opened.aclose()

    @property
    def bootstrap(self) -> str:
        """Of the brokers themselves."""
        return ",".join(f"127.0.0.1:{one.ports['CLIENT']}" for one in self.brokers)

    @property
    def proxied_bootstrap(self) -> str:
        """By way of the proxies."""
        return ",".join(f"127.0.0.1:{one.proxy.port}" for one in self.brokers)

    @property
    def copies(self) -> int:
        """Replication factor that topics have here."""
        return min(self.count, 3)

    async def start(self) -> None:
        """Start those that do not run, and wait until each answers."""
        for one in self.brokers:
            if not one.running:
                await one.start()
        await asyncio.gather(*(one.answers() for one in self.brokers))

    async def _stop(self) -> None:
        """All at once and without ceremony: nothing of it is needed any more."""
        for one in self.brokers:
            if one.running:
                one.thaw()
        await asyncio.gather(*(one.kill() for one in self.brokers))


def _addresses(ports: Mapping[str, int]) -> str:
    return ",".join(f"{name}://127.0.0.1:{port}" for name, port in ports.items())


def _copies(count: int) -> dict[str, str]:
    copies, least = min(count, 3), 2 if count > 1 else 1
    return {
        "offsets.topic.replication.factor": str(copies),
        "transaction.state.log.replication.factor": str(copies),
        "transaction.state.log.min.isr": str(least),
        "share.coordinator.state.topic.replication.factor": str(copies),
        "share.coordinator.state.topic.min.isr": str(least),
    }


def _prepare() -> Distribution:
    return with_ahead_cache(find_distribution(Silent()), Silent())
