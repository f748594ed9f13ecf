"""Governor processes with limits of short windows, which no configuration has; run as a program, one."""

import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import uvloop
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from prometheus_client.parser import text_string_to_metric_families

from headrace.cli.lifeline import Child, Lifeline
from headrace.cli.localkafka import free_ports
from headrace.dispatcher.governing.app import serve
from headrace.dispatcher.governor.tree import Caps, Scope, Tree
from headrace.schemas.config.model import Config
from headrace.schemas.topics import Topics, topic_specs
from headrace.telemetry.logs import configure
from support.eventually import eventually

LIMIT = "all"
"""The name of the one scope."""


@dataclass(frozen=True)
class Governed:
    """An installation's topics, and the limit that its governors keep."""

    bootstrap: str
    prefix: str
    requests: int
    window_s: float

    @property
    def topics(self) -> Topics:
        return Topics(self.prefix)

    @property
    def tree(self) -> Tree:
        return Tree((Scope(LIMIT, Caps(requests=self.requests), round(self.window_s * 1000)),))

    def settings(self, port: int = 0) -> dict[str, Any]:
        """A configuration with one lane, few partitions and a deployment that nobody calls."""
        counts = ("requests", "delay", "replies", "control", "dead_letters", "events")
        upstream = {"base_url": "http://127.0.0.1:1/v1"}
        return {
            "kafka": {
                "bootstrap_servers": [self.bootstrap],
                "topic_prefix": self.prefix,
                "replication_factor": 1,
                "min_insync_replicas": 1,
                "partitions": dict.fromkeys(counts, 1),
                "request_timeout_s": 3,
            },
            "governor": {"metrics_listen": f"127.0.0.1:{port}"},
            "lanes": {"standard": {"deadline_s": 60}},
            "deployments": [{"name": "east", "model": "small", "upstream": upstream}],
        }

    async def create_topics(self) -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap)
        await admin.start()
        try:
            specs = topic_specs(Config.model_validate(self.settings()))
            await admin.create_topics(
                [
                    NewTopic(one.name, one.partitions, one.replication, topic_configs=one.config)
                    for one in specs
                ]
            )
        finally:
            await admin.close()


@dataclass(frozen=True)
class Process:
    """One governor that may be killed."""

    child: Child
    url: str
    log: Path

    async def metric(self, name: str) -> float:
        """The sum over its labels; 0 where there is none, or nobody answers."""
        async with httpx.AsyncClient(trust_env=False) as http:
            try:
                text = (await http.get(f"{self.url}/metrics")).text
            except httpx.TransportError:
                return 0
        samples = (s for family in text_string_to_metric_families(text) for s in family.samples)
        return sum(sample.value for sample in samples if sample.name == name)

    async def owns(self) -> bool:
        return await self.metric("headrace_governor_owner") == 1

    async def ready(self) -> bool:
        async with httpx.AsyncClient(trust_env=False) as http:
            try:
                return (await http.get(f"{self.url}/readyz")).status_code == 200
            except httpx.TransportError:
                return False

    def told(self, event: str) -> int:
        """How often it logged that."""
        return self.log.read_text(encoding="utf-8").count(f'"event":"{event}"')


@asynccontextmanager
async def governors(where: Governed, folder: Path, count: int) -> AsyncIterator[list[Process]]:
    """Start processes; all are ready, the first one owns the limits."""
    async with Lifeline() as lifeline:
        started = []
        for number, port in enumerate(free_ports(count), 1):
            log = folder / f"governor-{number}.log"
            child = await lifeline.spawn(
                [sys.executable, __file__, json.dumps(where.__dict__ | {"port": port})],
                log=log,
                env={"PYTHONPATH": str(Path(__file__).parents[1])},
            )
            started.append(Process(child, f"http://127.0.0.1:{port}", log))
            await eventually(started[-1].ready, every_s=0.1)
            await eventually(started[0].owns, every_s=0.1)
        yield started


def main() -> None:
    """Run one governor until SIGTERM."""
    given = json.loads(sys.argv[1])
    port = given.pop("port")
    where = Governed(**given)
    configure("governor")
    uvloop.run(serve(Config.model_validate(where.settings(port)), where.tree))


if __name__ == "__main__":
    main()
