"""A stack under load: an ingress with its dispatcher. Here: how one is started, and the bare loop."""

import asyncio
import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import httpx
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from benchmarks.bare.wire import REQUEST_PARTITIONS, bare_topics
from benchmarks.harness.windows import ROOT
from benchmarks.load.jobs import Target
from headrace.cli.lifeline import Child, Lifeline
from headrace.cli.localkafka import free_ports

PATH = "/v1/chat/completions"
PLAIN_MODEL = "bench-plain"
STREAM_MODEL = "bench-stream"
READY_LIMIT_S = 40.0


def chat_body(*, stream: bool) -> str:
    """The request that every window sends."""
    body = {
        "model": STREAM_MODEL if stream else PLAIN_MODEL,
        "messages": [
            {"role": "system", "content": "You answer in one sentence."},
            {"role": "user", "content": "What is a headrace, and who needs one?"},
        ],
        "max_tokens": 100,
        "stream": stream,
    }
    return json.dumps(body, separators=(",", ":"))


@dataclass(frozen=True)
class Upstreams:
    """Ports of the two upstreams on this machine."""

    plain: int
    stream: int
    name: str

    def target(self, *, stream: bool) -> Target:
        """The upstream itself, without a stack before it."""
        port = self.stream if stream else self.plain
        return Target(port, PATH, chat_body(stream=stream))


@dataclass(frozen=True)
class Stack:
    """A running ingress with its dispatcher."""

    name: str
    port: int
    api_key: str
    processes: dict[str, int]
    """`NAME ingress` and `NAME dispatcher` -> pid."""

    def target(self, *, stream: bool) -> Target:
        """Its front door."""
        return Target(self.port, PATH, chat_body(stream=stream), self.api_key)


class StackFailed(Exception):
    """A stack did not answer in time; the message has the end of its logs."""


@dataclass(frozen=True)
class Ground:
    """What stacks stand on."""

    lifeline: Lifeline
    folder: Path
    bootstrap: str
    upstreams: Upstreams

    async def spawn(self, name: str, *command: str) -> Child:
        """Start a Python module of this environment; its output goes to a log."""
        log = self.folder / f"{name.replace(' ', '-')}.log"
        return await self.lifeline.spawn([sys.executable, "-m", *command], log=log, cwd=ROOT)


async def start_bare(ground: Ground, name: str) -> Stack:
    """A bare loop; several may run at once under different names."""
    prefix = f"{name.replace(' ', '-')}."
    topics = bare_topics(prefix)
    admin = AIOKafkaAdminClient(bootstrap_servers=ground.bootstrap)
    await admin.start()
    await admin.create_topics(
        [NewTopic(topics.requests, REQUEST_PARTITIONS, 1), NewTopic(topics.replies, 1, 1)]
    )
    await admin.close()
    (port,) = free_ports(1)
    url = f"http://127.0.0.1:{ground.upstreams.plain}{PATH}"
    module = "benchmarks.bare"
    ingress = await ground.spawn(
        f"{name} ingress", f"{module}.ingress", ground.bootstrap, prefix, str(port)
    )
    dispatcher = await ground.spawn(
        f"{name} dispatcher", f"{module}.dispatcher", ground.bootstrap, prefix, url
    )
    return await when_ready(ground, name, port, "none", ingress, dispatcher)


async def when_ready(
    ground: Ground, name: str, port: int, api_key: str, ingress: Child, dispatcher: Child
) -> Stack:
    """Return the stack once it has answered a whole request."""
    processes = {f"{name} ingress": ingress.pid, f"{name} dispatcher": dispatcher.pid}
    stack = Stack(name, port, api_key, processes)
    target = stack.target(stream=False)
    give_up_at = time.monotonic() + READY_LIMIT_S
    async with httpx.AsyncClient(trust_env=False, timeout=READY_LIMIT_S) as client:
        while time.monotonic() < give_up_at:
            if ingress.returncode is not None or dispatcher.returncode is not None:
                break
            if await _answers(client, target):
                return stack
            await asyncio.sleep(0.2)
    raise StackFailed(tails(ground.folder, *processes))


async def _answers(client: httpx.AsyncClient, target: Target) -> bool:
    headers = {
        "authorization": f"Bearer {target.api_key}",
        "content-type": "application/json",
    }
    url = f"http://127.0.0.1:{target.port}{target.path}"
    try:
        response = await client.post(url, content=target.body, headers=headers)
    except httpx.TransportError:
        return False
    return response.status_code == 200


def tails(folder: Path, *names: str) -> str:
    """The ends of logs, for a person."""
    parts = []
    for name in names:
        log = folder / f"{name.replace(' ', '-')}.log"
        parts.append(f"{log.name} ends:\n{log.read_text(errors='replace')[-3000:]}")
    return "\n".join(parts)
