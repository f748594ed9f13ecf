"""B8: what waiting retries cost, and how punctual they are.

How it works. One dispatcher, and an upstream that turns every request away once with a wait of its
choice. `waiting` requests are told to come back long after the measurement: what the process holds
then is the price of waiting. Beside them an open loop of `rate` requests a second is told to wait
for one delay tier, or for several in a row; how late each comes is read by the upstream.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

import psutil
from aiokafka import AIOKafkaProducer

from benchmarks.load.arrivals import poisson
from benchmarks.report.rows import Row, at_most, figure
from benchmarks.upstream.patient import Patience

LONG_MS = 3_000_000
"""Longer than any run: through one 10-minute tier after the other."""
ONE_TIER_MS = 11_000
"""10 s in a delay topic, the rest in memory."""
COMPOSED_MS = 25_700
"""10 s twice and 1 s several times, the rest in memory."""
WARM = 20_000
"""Ordinary requests, and as many with a wait of 1 ms, before memory is read: what any traffic leaves in
a process (known ids, the allocator's reserve) is not the price of waiting."""
KEEP_ALIVE_S = 17.0
"""An idle connection to an upstream is kept for 15 s."""
SLACK_S = 20.0
"""How long after the last due time a request may come before it counts as lost."""
CLOCK_MS = 2.0
"""Two clocks in whole milliseconds may hide so much."""

RSS_BAR_MB = 50
LATE_BAR_MS = 250
COMPOSED_BAR_MS = 400


@dataclass(frozen=True)
class Plan:
    """How much, how fast, how long."""

    waiting: int
    rate: float
    seconds: float


class Retrying:
    """One measurement on a running dispatcher (`pid`) that reads `topic`."""

    def __init__(
        self, plan: Plan, *, patience: Patience, producer: AIOKafkaProducer, topic: str, pid: int
    ) -> None:
        self._plan = plan
        self._patience = patience
        self._producer = producer
        self._topic = topic
        self._process = psutil.Process(pid)
        self._sent = 0
        self._peak_mb = 0.0

    async def run(self) -> list[Row]:
        """Warm up, let many wait, then measure the punctual ones."""
        await self._send(WARM, 0)
        await self._send(WARM, 1)
        await self._until(lambda: len(self._patience.late_ms.get(1, ())) == WARM)
        before_mb = self._rss_mb()
        turned_away = self._patience.turned_away
        began_s = time.monotonic()
        await self._send(self._plan.waiting, LONG_MS)
        wanted = turned_away + self._plan.waiting
        await self._until(lambda: self._patience.turned_away == wanted)
        took_s = time.monotonic() - began_s
        await self._until(lambda: self._patience.connections == 0, within_s=KEEP_ALIVE_S * 3)
        held_mb, sockets = self._rss_mb(), self._patience.connections
        await self._punctual()
        return [
            *self._price(before_mb, held_mb, sockets, took_s),
            *self._lateness(ONE_TIER_MS, "one tier", LATE_BAR_MS),
            *self._lateness(COMPOSED_MS, "composed", COMPOSED_BAR_MS),
        ]

    async def _punctual(self) -> None:
        plan = self._plan
        began_s = time.monotonic()
        counts = {ONE_TIER_MS: 0, COMPOSED_MS: 0}
        for number, at_s in enumerate(poisson(plan.rate, plan.seconds, seed=8)):
            await asyncio.sleep(max(0.0, began_s + at_s - time.monotonic()))
            wait_ms = (ONE_TIER_MS, COMPOSED_MS)[number % 2]
            counts[wait_ms] += 1
            await self._send(1, wait_ms)

        def all_came() -> bool:
            late = self._patience.late_ms
            return all(len(late.get(wait_ms, ())) == count for wait_ms, count in counts.items())

        await self._until(all_came, within_s=COMPOSED_MS / 1000 + SLACK_S)

    async def _send(self, count: int, wait_ms: int) -> None:
        acks = []
        for _ in range(count):
            self._sent += 1
            body = b'{"model":"patient","messages":[{"role":"user","content":"%d"}],"user":"%d"}'
            value = body % (self._sent, wait_ms)
            acks.append(await self._producer.send(self._topic, value))
        for ack in acks:
            await ack

    async def _until(self, condition: Callable[[], bool], within_s: float = 900.0) -> None:
        give_up_s = time.monotonic() + within_s
        while not condition():
            if time.monotonic() > give_up_s:
                return  # the figures tell what is missing
            self._peak_mb = max(self._peak_mb, self._rss_mb())
            await asyncio.sleep(0.05)

    def _rss_mb(self) -> float:
        rss: int = self._process.memory_info().rss
        return rss / 1e6

    def _price(self, before_mb: float, held_mb: float, sockets: int, took_s: float) -> list[Row]:
        waiting = self._plan.waiting
        return [
            figure("B8", "retries that wait", waiting, "requests"),
            figure("B8", "first calls and writes to the delay topics", waiting / took_s, "1/s"),
            at_most("B8", "upstream sockets they hold", sockets, "", 0, judged=True),
            at_most(
                "B8", "memory of the dispatcher, more than before", held_mb - before_mb, "MB",
                RSS_BAR_MB, judged=True,
            ),
            figure("B8", "memory of the dispatcher before", before_mb, "MB"),
            figure("B8", "memory of the dispatcher, largest", self._peak_mb, "MB"),
        ]  # fmt: skip

    def _lateness(self, wait_ms: int, what: str, bar_ms: float) -> list[Row]:
        late = sorted(self._patience.late_ms.get(wait_ms, [float("inf")]))
        early = sum(one < -CLOCK_MS for one in late)
        p99 = late[min(len(late) - 1, int(len(late) * 0.99))]
        return [
            figure("B8", f"{what}: retries measured", len(late), "requests"),
            figure("B8", f"{what}: the earliest, against its due time", late[0], "ms"),
            at_most("B8", f"{what}: early ones", early, "", 0, judged=True),
            figure("B8", f"{what}: late, p50", late[len(late) // 2], "ms"),
            at_most("B8", f"{what}: late, p99", p99, "ms", bar_ms, judged=True),
        ]
