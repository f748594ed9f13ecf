"""Requests over HTTP at a given rate, however slow the answers are."""

import asyncio
import hashlib
import json
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from random import Random
from types import TracebackType
from typing import Self

import aiohttp

from benchmarks.load.arrivals import poisson

TEXT = "What is a headrace, and who needs one? " * 10


@dataclass(frozen=True)
class Demand:
    """Poisson arrivals for one model."""

    model: str
    per_s: float
    seconds: float
    deadline_s: int
    max_tokens: Sequence[int] = (16,)
    """Lengths of answers, drawn with equal chances."""
    seed: int = 1


@dataclass
class Seen:
    """What the clients lived through; times in epoch milliseconds."""

    sent_ms: dict[str, int] = field(default_factory=dict)
    """SHA-256 of a body -> when it was sent."""
    statuses: Counter[int] = field(default_factory=Counter)
    """0: the connection broke."""


class Traffic:
    """`async with Traffic(url, keys) as traffic`; `url` without `/v1`, one API key for each tenant."""

    def __init__(self, url: str, keys: Sequence[str]) -> None:
        self._url = f"{url}/v1/chat/completions"
        self._keys = keys
        self._opened = AsyncExitStack()

    async def __aenter__(self) -> Self:
        session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(total=None)
        )
        self._session = await self._opened.enter_async_context(session)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._opened.aclose()

    async def send(self, demand: Demand) -> Seen:
        """Send all of it; returns when every request has ended. Cancelled it sends no more, and waits."""
        seen, draw, began_s = Seen(), Random(demand.seed), time.monotonic()
        asking: set[asyncio.Task[None]] = set()
        try:
            for number, due_s in enumerate(poisson(demand.per_s, demand.seconds, demand.seed)):
                await asyncio.sleep(max(0.0, began_s + due_s - time.monotonic()))
                body = _body(demand, number, draw)
                headers = {
                    "authorization": f"Bearer {self._keys[number % len(self._keys)]}",
                    "content-type": "application/json",
                    "headrace-timeout": str(demand.deadline_s),
                }
                task = asyncio.create_task(self._ask(seen, body, headers))
                asking.add(task)
                task.add_done_callback(asking.discard)
        finally:
            if asking:
                await asyncio.wait(asking)
        return seen

    async def _ask(self, seen: Seen, body: bytes, headers: dict[str, str]) -> None:
        seen.sent_ms[hashlib.sha256(body).hexdigest()] = time.time_ns() // 1_000_000
        try:
            async with self._session.post(self._url, data=body, headers=headers) as response:
                await response.read()
                seen.statuses[response.status] += 1
        except (aiohttp.ClientError, TimeoutError):
            seen.statuses[0] += 1


def _body(demand: Demand, number: int, draw: Random) -> bytes:
    """No two are the same, and all of them ask for as many tokens of input."""
    text = f"{demand.seed:06} {number:08} {TEXT}"
    return json.dumps(
        {
            "model": demand.model,
            "messages": [{"role": "user", "content": text}],
            "max_tokens": draw.choice(demand.max_tokens),
        }
    ).encode()
