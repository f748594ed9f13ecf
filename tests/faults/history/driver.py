"""The load: mixed traffic at a bounded rate, each request written down as its client lived it.

    with History(folder, now_ms) as history:
        async with Driver(target, mix, history) as driver:
            sending = asyncio.create_task(driver.send(count=1000, per_s=200))
            with history.fault("kill", "dispatcher-1"):
                role.kill()
                await role.wait()
            await sending
            await driver.ended()

`send` may be called again, also at the same time. `ended` waits for every client; a client gives up
after `mix.timeout_s`. Leaving the block closes the clients. A way of sending is an `Asker`; a new kind
of request is one more of them in `_askers`.
"""

import asyncio
import random
import uuid
from collections import Counter
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Protocol, Self

from faults.history.direct_way import DirectWay
from faults.history.events import Way
from faults.history.history import History
from faults.history.http_ways import HttpWays
from faults.history.job_way import JobWay
from faults.history.target import Mix, Request, Target, chat


class Asker(Protocol):
    """One way of sending."""

    async def ask(self, request: Request) -> None:
        """Send it, wait for its end, and write all of that into the history; raises nothing."""
        ...


class Driver:
    """Sends `mix` to `target`."""

    def __init__(self, target: Target, mix: Mix, history: History) -> None:
        self._target = target
        self._mix = mix
        self._history = history
        self._run = uuid.uuid4().hex[:12]
        self._random = random.Random(mix.seed)
        self._seats = asyncio.Semaphore(mix.at_most)
        self._asking: set[asyncio.Task[None]] = set()
        self._askers: dict[Way, Asker] = {}
        self._opened = AsyncExitStack()
        self._keyed: Counter[str] = Counter()
        self.sent = 0

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as opening:
            http = await opening.enter_async_context(
                HttpWays(self._target, self._history, self._mix.timeout_s)
            )
            self._askers = {Way.SYNC: http, Way.STREAM: http, Way.KEYED: http}
            if Way.JOB in self._mix.ways:
                jobs = JobWay(self._target, self._history, self._mix.timeout_s)
                self._askers[Way.JOB] = await opening.enter_async_context(jobs)
            if Way.DIRECT in self._mix.ways:
                direct = DirectWay(self._target, self._history, self._mix.timeout_s)
                self._askers[Way.DIRECT] = await opening.enter_async_context(direct)
            self._opened = opening.pop_all()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for task in self._asking:
            task.cancel()
        await asyncio.gather(*self._asking, return_exceptions=True)
        await self._opened.aclose()

    @property
    def in_flight(self) -> int:
        """Requests whose clients still wait."""
        return len(self._asking)

    async def send(self, count: int, per_s: float) -> None:
        """Send `count` requests, `per_s` a second as far as `mix.at_most` lets it."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        for turn in range(count):
            await asyncio.sleep(began + turn / per_s - loop.time())
            await self._seats.acquire()
            self._start(self._next())

    async def send_one(self, way: Way, model: str) -> None:
        """Send one request besides the mix."""
        await self._seats.acquire()
        self._start(self._request(way, model))

    async def ended(self) -> None:
        """Wait until every client has its answer, or has given up."""
        while self._asking:
            await asyncio.wait(self._asking)

    def _start(self, request: Request) -> None:
        task = asyncio.create_task(self._askers[request.way].ask(request))
        self._asking.add(task)
        task.add_done_callback(self._over)
        self.sent += 1

    def _over(self, task: "asyncio.Task[None]") -> None:
        self._asking.discard(task)
        self._seats.release()
        if not task.cancelled():
            task.result()  # a fault of the driver's own ends the run: the loop's handler tells it

    def _next(self) -> Request:
        mix = self._mix
        (way,) = self._random.choices(list(mix.ways), list(mix.ways.values()))
        (model,) = self._random.choices(list(mix.models), list(mix.models.values()))
        return self._request(way, model)

    def _request(self, way: Way, model: str) -> Request:
        mix = self._mix
        tenant = self._random.choice(list(self._target.tenants))
        number = self._history.number()
        text, key = number, ""
        if way is Way.KEYED:
            text, key = self._key(tenant)
        return Request(
            number=number,
            way=way,
            tenant=tenant,
            model=model if not key else next(iter(mix.models)),
            lane=self._random.choice(mix.lanes),
            body=chat(self._run, text, tenant, model, stream=way is Way.STREAM, script=mix.script),
            key=key,
        )

    def _key(self, tenant: str) -> tuple[int, str]:
        """The text's number and the key: `mix.keys` requests in a row of a tenant share both.

        All tenants use the same keys: that theirs are not another's is a part of what is checked.
        """
        turn = self._keyed[tenant] // self._mix.keys
        self._keyed[tenant] += 1
        return -1 - turn, f"{self._run}-{turn}"
