"""The installation that is measured: Kafka, eight dispatchers, governors, an upstream with limits."""

import asyncio
import contextlib
import os
import re
import secrets
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import httpx
import yaml

from benchmarks.governor.spans import Taken
from benchmarks.governor.watch import Watch, watching
from benchmarks.harness.arena import LONG_LIVED
from benchmarks.harness.stacks import StackFailed
from headrace.cli.localkafka import LocalKafka, free_ports
from headrace.cli.mock.log import LoggedCall, read_log
from headrace.cli.progress import Reporter
from headrace.cli.up import Stack
from headrace.cli.up.role import Role
from headrace.schemas.keys import RANDOM_BYTES, digest, mint
from headrace.schemas.names import Tenant
from headrace.schemas.topics import Topics

DISPATCHERS = 8
GOVERNORS = 2
TENANTS = ("ann", "bob", "cyd", "dan")
"""Enough that each dispatcher has some of each queue: one tenant reaches eight partitions of a lane."""
PREFIX = "governed."
PEPPER = "not-a-secret-but-long-enough"
LATENCY_MS = 100
LIMIT_S = 60.0
POLL_S = 0.05
OWNER = re.compile(r"^headrace_governor_owner 1(\.0)?$", re.MULTILINE)

Found = TypeVar("Found")


@dataclass(frozen=True)
class Limited:
    """A deployment, and what the upstream itself enforces of it; 0: no such limit."""

    name: str
    requests: int = 0
    tokens: int = 0
    model: str = ""
    """The name that clients use, where several deployments share it; else its own."""
    port: int = 0
    """Of an upstream of its own; 0: the one of all."""

    def deployment(self, port: int) -> dict[str, object]:
        """As the configuration has it."""
        limits = {"requests_per_minute": self.requests, "tokens_per_minute": self.tokens}
        return {
            "name": self.name,
            "model": self.model or self.name,
            "upstream": {
                "base_url": f"http://127.0.0.1:{self.port or port}/v1",
                "model": self.name,
            },
            "limits": {name: limit for name, limit in limits.items() if limit},
        }

    def script(self) -> str:
        """As the upstream has it."""
        return (
            f"latency_ms={LATENCY_MS};tokens=100000;requests_per_minute={self.requests};"
            f"tokens_per_minute={self.tokens}"
        )


@dataclass(frozen=True)
class Site:
    """Everything that runs."""

    stack: Stack
    watch: Watch
    keys: Sequence[str]
    """An API key for each tenant."""

    def calls(self, model: str) -> list[LoggedCall]:
        """The upstream's own log of a model."""
        return [one for one in read_log(self.stack.mock_log) if one.received.model == model]

    async def owner(self) -> Role:
        """The governor that owns the limits. Errors: `StackFailed`."""
        ports = self.stack.layout.governors
        governors = list(zip(self.stack.governors, ports, strict=True))
        async with httpx.AsyncClient(trust_env=False) as http:

            async def owns() -> Role | None:
                for role, port in governors:
                    if role.running and await _owns(http, port):
                        return role
                return None

            return await until(owns, "no governor owns the limits")

    async def kill(self, role: Role) -> int:
        """SIGKILL; when, in epoch milliseconds."""
        at_ms = now_ms()
        role.kill()
        await role.wait()
        return at_ms

    async def start_again(self, role: Role) -> None:
        """And wait until it is ready. Errors: `StartFailed`."""
        await role.start()
        await role.ready(LIMIT_S)


def accepted(calls: Iterable[LoggedCall], *, tokens: bool = False) -> list[Taken]:
    """What counts in the upstream's own windows: all calls but those that its limit refused."""
    return [
        Taken(call.received.received_at, (call.finished.tokens if call.finished else 0))
        if tokens
        else Taken(call.received.received_at, 1)
        for call in calls
        if not _refused(call)
    ]


def _refused(call: LoggedCall) -> bool:
    return call.finished is not None and call.finished.status == 429


def refused(calls: Iterable[LoggedCall]) -> int:
    """Calls that the upstream's limit refused with 429."""
    return sum(map(_refused, calls))


def now_ms() -> int:
    """Epoch milliseconds: the clock that the upstream's log and the broker use on this machine."""
    return time.time_ns() // 1_000_000


async def until(
    look: Callable[[], Awaitable[Found | None]], otherwise: str, within_s: float = LIMIT_S
) -> Found:
    """What `look` finds in the end. Errors: `StackFailed`."""
    give_up_at = time.monotonic() + within_s
    while (found := await look()) is None:
        if time.monotonic() > give_up_at:
            raise StackFailed(f"{otherwise} within {within_s:g} s")
        await asyncio.sleep(POLL_S)
    return found


@contextlib.asynccontextmanager
async def site(
    limited: Sequence[Limited], reporter: Reporter, keep: Path | None
) -> AsyncIterator[Site]:
    """Start all of it in a temporary folder; logs go to `keep` at the end.

    Errors: `StackError`, `LocalKafkaError`.
    """
    with tempfile.TemporaryDirectory(prefix="headrace-bench-") as name:
        folder = Path(name)
        (mock_port,) = free_ports(1)
        keys = {tenant: mint(Tenant(tenant), os.urandom(RANDOM_BYTES)) for tenant in TENANTS}
        mock = folder / "mock.yaml"
        mock.write_text(yaml.safe_dump({"models": {one.name: one.script() for one in limited}}))
        local = LocalKafka(folder / "kafka", jvm_options=LONG_LIVED, reporter=reporter)
        async with local as kafka:
            stack = Stack(
                folder / "stack",
                dispatchers=DISPATCHERS,
                governors=GOVERNORS,
                bootstrap=kafka.bootstrap,
                overlay=_overlay(limited, keys, mock_port),
                mock_arguments=("--config", str(mock)),
                ports={"mock": mock_port},
                reporter=reporter,
            )
            async with stack, watching(kafka.bootstrap, Topics(PREFIX)) as watch:
                await stack.dispatchers_ready()
                await asyncio.gather(*(one.ready(LIMIT_S) for one in stack.governors))
                running = Site(stack, watch, list(keys.values()))
                await running.owner()
                try:
                    yield running
                finally:
                    if keep is not None:
                        _keep(stack, keep)


def _overlay(limited: Sequence[Limited], keys: dict[str, str], port: int) -> dict[str, object]:
    pepper = PEPPER + secrets.token_hex(8)
    return {
        "kafka": {"topic_prefix": PREFIX, "partitions": {"requests": 24}},
        "ingress": {"drain_s": 1, "kafka_grace_s": 5},
        "dispatcher": {"drain_s": 1},
        "deployments": [one.deployment(port) for one in limited],
        # What an answer is limited to is reserved for it: the upstream counts so, too.
        "models": {one.model or one.name: {"reserve": "hard"} for one in limited},
        "development": True,
        "auth": {"mode": "keys", "pepper": pepper},
        "tenants": {name: {"keys": [digest(key, pepper)]} for name, key in keys.items()},
    }


def _keep(stack: Stack, folder: Path) -> None:
    shutil.copytree(stack.data_dir / "logs", folder / "logs", dirs_exist_ok=True)
    shutil.copy(stack.mock_log, folder)


async def _owns(http: httpx.AsyncClient, port: int) -> bool:
    try:
        page = await http.get(f"http://127.0.0.1:{port}/metrics")
    except httpx.TransportError:
        return False
    return OWNER.search(page.text) is not None
