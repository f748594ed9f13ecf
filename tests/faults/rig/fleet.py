"""An installation of real processes on a cluster: ingresses, dispatchers, governors, the mock upstream.

`Shape` says what of each there is. Every process is started and ended by itself; roles named in
`proxied` reach Kafka by way of the proxies, and with `upstream_proxy` all model calls go through
`fleet.upstream`.
"""

import asyncio
import json
import os
import uuid
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

import yaml

from faults.history.folder import CALLS
from faults.history.stage import PEPPER, TENANTS
from faults.history.target import Target
from faults.rig.brokers import Cluster
from faults.rig.process import Process
from faults.rig.proxy import Proxy
from headrace.cli.lifeline import Lifeline
from headrace.cli.localkafka import free_ports
from headrace.cli.mock.log import LoggedCall, read_log
from headrace.cli.topics.command import read_changes
from headrace.cli.up.layout import merged
from headrace.schemas.config.load import load
from headrace.schemas.keys import RANDOM_BYTES, digest, mint
from headrace.schemas.names import Tenant
from headrace.schemas.topics import Topics

SEATS = 32
"""Of each model in each dispatcher."""
PARTITIONS = {"requests": 8, "delay": 2, "replies": 4, "control": 1, "dead_letters": 1, "events": 2}


@dataclass(frozen=True, kw_only=True)
class Shape:
    """What runs in a case."""

    ingress: int = 1
    dispatchers: int = 2
    governors: int = 0
    """Without one no model is called that has limits by the minute."""
    seats: int = SEATS
    models: tuple[str, ...] = ("small",)
    mock: str = "latency_ms=100;sign=1"
    """Words for every call."""
    deployment: Mapping[str, object] = field(default_factory=dict)
    """Laid over each deployment."""
    limits: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """Of the deployment of a model."""
    overlay: Mapping[str, object] = field(default_factory=dict)
    """Laid over the whole configuration."""
    proxied: frozenset[str] = frozenset()
    upstream_proxy: bool = False
    arms: Mapping[str, str] = field(default_factory=dict)
    """What `armed` does in a process, by its name."""
    started: bool = True
    """False: the case starts the processes itself."""


class Fleet:
    """`async with Fleet(cluster, shape, folder) as fleet:`; all are ready inside."""

    def __init__(self, cluster: Cluster, shape: Shape, folder: Path) -> None:
        self.cluster = cluster
        self.shape = shape
        self.folder = folder
        self.prefix = f"t{uuid.uuid4().hex[:10]}."
        self.topics = Topics(self.prefix)
        self.config = folder / "headrace.yaml"
        self.mock_log = folder / CALLS
        self.ingress: list[Process] = []
        self.dispatchers: list[Process] = []
        self.governors: list[Process] = []
        self.keys = {name: mint(Tenant(name), os.urandom(RANDOM_BYTES)) for name in TENANTS}
        """API key by tenant."""
        self._lifeline = Lifeline()
        self._opened = AsyncExitStack()
        names = [f"ingress-{n}" for n in range(1, shape.ingress + 1)]
        names += [f"dispatcher-{n}" for n in range(1, shape.dispatchers + 1)]
        names += [f"governor-{n}" for n in range(1, shape.governors + 1)]
        ports = free_ports(2 * len(names) + 1)
        self._mock_port = ports.pop()
        self._ports = {name: (ports[2 * n], ports[2 * n + 1]) for n, name in enumerate(names)}
        self.upstream = Proxy(self._mock_port)

    async def __aenter__(self) -> Self:
        (self.folder / "logs").mkdir(parents=True, exist_ok=True)
        async with AsyncExitStack() as opening:
            await opening.enter_async_context(self._lifeline)
            await opening.enter_async_context(self.upstream)
            self._write_configuration()
            self._lay_out()
            opening.push_async_callback(self._stop, [self.mock])
            await self.mock.start()
            opening.push_async_callback(self._stop, self.governors)
            opening.push_async_callback(self._stop, self.dispatchers)
            opening.push_async_callback(self._stop, self.ingress)
            if self.shape.started:
                await self.apply_topics()
                await self.start()
            await self.mock.ready()
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
    def target(self) -> Target:
        """For the driver."""
        return Target(
            ingress=tuple(self.url(one) for one in self.ingress),
            bootstrap=self.cluster.bootstrap,
            prefix=self.prefix,
            tenants=self.keys,
            copies=self.cluster.copies,
        )

    def url(self, ingress: Process) -> str:
        """Base URL of an ingress, without `/v1`."""
        return f"http://127.0.0.1:{self._ports[ingress.name][0]}"

    def metrics_url(self, process: Process) -> str:
        """Where it shows its metrics."""
        return f"http://127.0.0.1:{self._ports[process.name][1]}/metrics"

    def calls(self) -> list[LoggedCall]:
        """The upstream's own log."""
        return read_log(self.mock_log)

    async def apply_topics(self) -> None:
        """Create what is missing."""
        await read_changes(load(self.config, dict(os.environ)), apply=True)

    async def start(self) -> None:
        """Start every role that does not run, and wait until all are ready."""
        roles = [*self.governors, *self.dispatchers, *self.ingress]
        for one in roles:
            if not one.running:
                await one.start()
        await asyncio.gather(*(one.ready() for one in roles))

    async def stop(self) -> None:
        """In order: ingresses, dispatchers, governors, the mock."""
        for roles in (self.ingress, self.dispatchers, self.governors, [self.mock]):
            await self._stop(roles)

    def _lay_out(self) -> None:
        places = {
            "ingress": self.ingress,
            "dispatcher": self.dispatchers,
            "governor": self.governors,
        }
        for name, (listen, metrics) in self._ports.items():
            role = name.rpartition("-")[0]
            bootstrap = self.cluster.bootstrap
            if name in self.shape.proxied:
                bootstrap = self.cluster.proxied_bootstrap
            environ = {
                "HEADRACE__KAFKA__BOOTSTRAP_SERVERS": json.dumps(bootstrap.split(",")),
                f"HEADRACE__{role.upper()}__METRICS_LISTEN": f"127.0.0.1:{metrics}",
            }
            if role == "ingress":
                environ["HEADRACE__INGRESS__LISTEN"] = f"127.0.0.1:{listen}"
            port = listen if role == "ingress" else metrics
            process = self._process(
                name,
                (role, "--config", str(self.config)),
                f"http://127.0.0.1:{port}/readyz",
                environ,
            )
            places[role].append(process)
        listen_at = f"127.0.0.1:{self._mock_port}"
        arguments = ["mock", "--listen", listen_at, "--log", str(self.mock_log)]
        arguments += ["--script", self.shape.mock]
        self.mock = self._process("mock", arguments, f"http://{listen_at}/health", {})

    def _process(
        self, name: str, arguments: Sequence[str], ready_url: str, environ: Mapping[str, str]
    ) -> Process:
        return Process(
            name,
            arguments,
            ready_url,
            self._lifeline,
            log=self.folder / "logs" / f"{name}.log",
            environ=environ,
            arms=self.shape.arms.get(name, ""),
        )

    def _write_configuration(self) -> None:
        port = self.upstream.port if self.shape.upstream_proxy else self._mock_port
        copies = self.cluster.copies
        deployments = [
            {
                "name": model,
                "model": model,
                "upstream": {"base_url": f"http://127.0.0.1:{port}/v1"},
                "limits": {
                    "process_concurrency": self.shape.seats,
                    **self.shape.limits.get(model, {}),
                },
                **self.shape.deployment,
            }
            for model in self.shape.models
        ]
        tree = {
            "kafka": {
                "bootstrap_servers": self.cluster.bootstrap.split(","),
                "topic_prefix": self.prefix,
                "replication_factor": copies,
                "min_insync_replicas": 2 if copies > 1 else 1,
                "partitions": PARTITIONS,
            },
            # More than the default's 2 s: two busy cores are no absent broker.
            "ingress": {"drain_s": 10, "kafka_grace_s": 5},
            "dispatcher": {"drain_s": 30},
            "deployments": deployments,
            "development": True,
            "auth": {"mode": "keys", "pepper": PEPPER},
            "tenants": {name: {"keys": [digest(key, PEPPER)]} for name, key in self.keys.items()},
        }
        text = yaml.safe_dump(merged(tree, self.shape.overlay), sort_keys=False)
        self.config.write_text(text, encoding="utf-8")

    async def _stop(self, roles: Sequence[Process]) -> None:
        await asyncio.gather(*(one.stop() for one in roles))
