"""A whole installation for one history: two tenants with keys, the mock, and what it leaves behind.

async with staged(folder, setting) as stage:
    async with Driver(stage.target, mix, history) as driver: ...
    await stage.settle()
    await stage.conclude()
verdict = check_folder(folder)
"""

import asyncio
import contextlib
import os
import shutil
import time
import uuid
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from faults.history.dump import dump, places_of
from faults.history.folder import CALLS, Run, write_run
from faults.history.target import Target
from headrace.cli.localkafka import free_ports
from headrace.cli.up import Stack
from headrace.cli.up.layout import merged
from headrace.schemas.config.load import load
from headrace.schemas.config.model import Config
from headrace.schemas.keys import RANDOM_BYTES, digest, mint
from headrace.schemas.names import Tenant
from headrace.schemas.topics import Topics

PEPPER = "only-for-tests-0123456789abcdef0123"
TENANTS = ("ann", "bob")
SETTLE_S = 0.25
PARTITIONS = {
    "requests": 6,
    "delay": 1,
    "replies": 2,
    "control": 1,
    "dead_letters": 1,
    "events": 1,
}


@dataclass(frozen=True, kw_only=True)
class Setting:
    """How an installation is set up. Only what differs between runs."""

    dispatchers: int = 2
    seats: int = 32
    """Calls of each model in flight, per dispatcher."""
    models: tuple[str, ...] = ("small",)
    script: str = "latency_ms=20;sign=1"
    """What the mock does with every call."""
    overlay: Mapping[str, object] = field(default_factory=dict)
    retry_after_ms: int = 0
    error_after_ms: int = 0


@dataclass(frozen=True)
class Stage:
    """A running installation."""

    folder: Path
    stack: Stack
    config: Config
    setting: Setting
    target: Target

    async def settle(self, within_s: float) -> bool:
        """Wait until every group has committed all that its topics hold; False if it does not."""
        names = Topics(self.target.prefix)
        groups = [names.dispatch_group(lane) for lane in self.config.lanes]
        give_up_at = time.monotonic() + within_s
        while time.monotonic() < give_up_at:
            if not await self._behind([*groups, names.delay_group]):
                return True
            await asyncio.sleep(SETTLE_S)
        return False

    async def conclude(self, *, settled: bool = True) -> None:
        """Stop what writes, and gather what is needed for a verdict."""
        stack = self.stack
        await asyncio.gather(*(role.stop() for role in (stack.ingress, *stack.dispatchers)))
        shutil.copyfile(stack.mock_log, self.folder / CALLS)
        await dump(self.folder, stack.bootstrap, self.target.prefix)
        seats = self.setting.seats * self.setting.dispatchers
        run = Run(
            prefix=self.target.prefix,
            seats=dict.fromkeys(self.setting.models, seats),
            retry_after_ms=self.setting.retry_after_ms,
            error_after_ms=self.setting.error_after_ms,
            settled=settled,
        )
        write_run(self.folder, run)

    async def _behind(self, groups: list[str]) -> int:
        """Records above the committed offsets."""
        prefix = self.target.prefix
        sources = tuple(f"{prefix}{kind}." for kind in ("requests", "delay"))
        consumer = AIOKafkaConsumer(bootstrap_servers=self.stack.bootstrap)
        admin = AIOKafkaAdminClient(bootstrap_servers=self.stack.bootstrap)
        await consumer.start()
        await admin.start()
        try:
            bootstrap = self.stack.bootstrap
            places = await places_of(bootstrap, lambda name: name.startswith(sources))
            ends = await consumer.end_offsets(places)
            done: dict[TopicPartition, int] = {}
            for group in groups:
                offsets = await admin.list_consumer_group_offsets(group)
                done.update((place, told.offset) for place, told in offsets.items())
        finally:
            await consumer.stop()
            await admin.close()
        return sum(ends[place] - max(0, done.get(place, 0)) for place in places)


@contextlib.asynccontextmanager
async def staged(
    folder: Path, setting: Setting, *, bootstrap: str | None = None
) -> AsyncIterator[Stage]:
    """Start it in `folder`, on the Kafka at `bootstrap` or one of its own; stop it at the end."""
    folder.mkdir(parents=True, exist_ok=True)
    prefix = f"h{uuid.uuid4().hex[:8]}."
    keys = {tenant: mint(Tenant(tenant), os.urandom(RANDOM_BYTES)) for tenant in TENANTS}
    (mock_port,) = free_ports(1)
    stack = Stack(
        folder,
        dispatchers=setting.dispatchers,
        bootstrap=bootstrap,
        overlay=merged(_configuration(setting, prefix, keys, mock_port), setting.overlay),
        mock_arguments=("--script", setting.script),
        ports={"mock": mock_port},
    )
    async with stack:
        await stack.dispatchers_ready()
        config = load(stack.config_path, os.environ)
        target = Target(
            ingress=(stack.ingress_url,), bootstrap=stack.bootstrap, prefix=prefix, tenants=keys
        )
        yield Stage(folder, stack, config, setting, target)


def _configuration(
    setting: Setting, prefix: str, keys: Mapping[str, str], mock_port: int
) -> dict[str, object]:
    """One deployment a model, under the same name at the mock, so that bodies stay as they are."""
    upstream = {"base_url": f"http://127.0.0.1:{mock_port}/v1"}
    return {
        "development": True,
        "kafka": {"topic_prefix": prefix, "partitions": PARTITIONS},
        "ingress": {"drain_s": 3},
        "dispatcher": {"drain_s": 5},
        "auth": {"mode": "keys", "pepper": PEPPER},
        "tenants": {tenant: {"keys": [digest(key, PEPPER)]} for tenant, key in keys.items()},
        "deployments": [
            {
                "name": model,
                "model": model,
                "upstream": upstream,
                "limits": {"process_concurrency": setting.seats},
            }
            for model in setting.models
        ],
    }
