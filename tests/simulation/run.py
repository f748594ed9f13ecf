"""One run of one seed."""

import asyncio
import random

import msgspec
from simulation.broker import Broker, Record
from simulation.check import Witness, judge
from simulation.clients import Clients
from simulation.clock import Deadlock, Process, VirtualLoop
from simulation.fleet import Fleet, doubled
from simulation.story import END_S, Fault, Request, Story, Strike, configuration, draw, headers_of
from simulation.upstream import Model

from headrace.schemas.replies import Cancel, encode_cancel
from headrace.schemas.topics import Topics, topic_specs

LOOK_S = 0.5
SETTLE_S = 5.0
SKEW_S = 3600.0


class Result(msgspec.Struct):
    """How a seed went."""

    seed: int
    violations: list[str]
    digest: str
    requests: int
    calls: int
    strikes: int
    virtual_s: float
    turns: int
    log: list[str]
    began: dict[str, float]
    """When the first call of each request began."""


class Stage:
    """All parts of one run."""

    def __init__(self, story: Story, loop: VirtualLoop) -> None:
        config = configuration(story)
        self.story = story
        self.loop = loop
        self.rng = random.Random(story.seed + 1)
        names = Topics(config.kafka.topic_prefix)
        topics = {spec.name: spec.partitions for spec in topic_specs(config)} | {"out": 1}
        self.broker = Broker(loop, random.Random(story.seed + 2), topics)
        self.model = Model(loop, {one.id: one.script for one in story.requests})
        self.fleet = Fleet(config, self.broker, self.model, loop)
        self.witness = Witness(self.broker, names, story)
        self.clients = Clients(self.broker)
        self.names = names

    async def play(self) -> None:
        """Everything, to the end."""
        for _ in range(self.story.dispatchers):
            self.fleet.start(skew_s=self.rng.uniform(-SKEW_S, SKEW_S))
        acting = [asyncio.create_task(self._ask(one)) for one in self.story.requests]
        acting += [asyncio.create_task(self._strike(one)) for one in self.story.strikes]
        await asyncio.gather(*acting)
        while self.loop.time() < END_S and not all(map(self.witness.is_over, self.story.requests)):
            if not self.fleet.running():
                self.fleet.start()
            await asyncio.sleep(LOOK_S)
        await asyncio.sleep(SETTLE_S)
        for process in self.fleet.running():
            self.fleet.stop(process)
        await self.fleet.stopped()

    async def _ask(self, request: Request) -> None:
        if request.cancel_at_s is not None:
            self.loop.call_later(max(0.1, request.cancel_at_s), self._cancel, request)
        await asyncio.sleep(request.at_s)
        headers = headers_of(request, self.loop.epoch_ms, self.loop.time())
        body = b"\xff" if request.poison else b'{"model":"m","messages":[]}'
        lane = self.names.requests(self.story.lane)
        await self.broker.produce(lane, body, key=request.id.encode(), headers=headers)

    def _cancel(self, request: Request) -> None:
        cancel = Cancel(request.id, self.loop.epoch_ms + 600_000)  # type: ignore[arg-type]
        headers = encode_cancel(cancel, b"simulation")
        self.broker.produce(self.names.control, b"", key=request.id.encode(), headers=headers)

    async def _strike(self, strike: Strike) -> None:
        await asyncio.sleep(strike.at_s)
        if strike.fault is Fault.OUTAGE:
            self.broker.down_until = max(self.broker.down_until, self.loop.time() + strike.lasts_s)
            return
        if strike.fault is Fault.JOIN:
            self.fleet.start()
            return
        running = self.fleet.running()
        if not running:
            return
        victim = running[strike.number % len(running)]
        match strike.fault:
            case Fault.KILL:
                self._kill(victim)
            case Fault.KILL_AT_WRITE:
                await self._kill_at_write(victim, strike.number % 20)
            case Fault.FREEZE:
                self.witness.strikes.append((self.loop.time(), victim))
                self.fleet.freeze(victim)
                await asyncio.sleep(strike.lasts_s)
                self.loop.thaw(victim)
                return
            case Fault.ROLL:
                self.fleet.stop(victim)
        await asyncio.sleep(strike.lasts_s)
        self.fleet.start(skew_s=self.rng.uniform(-SKEW_S, SKEW_S))

    async def _kill_at_write(self, victim: Process, skip: int) -> None:
        """The broker has the record, the process never learns it."""
        struck = self.loop.create_future()
        left = skip

        def told(_record: Record, process: Process | None) -> None:
            nonlocal left
            if process is victim and not struck.done():
                left -= 1
                if left < 0:
                    struck.set_result(None)
                    self._kill(victim)

        self.broker.appended.append(told)
        await asyncio.wait((struck,), timeout=20.0)
        self.broker.appended.remove(told)

    def _kill(self, victim: Process) -> None:
        if victim.alive:
            self.witness.strikes.append((self.loop.time(), victim))
            self.fleet.kill(victim)


def simulate(seed: int) -> Result:
    """Run a seed; the same seed gives the same digest."""
    return tell(draw(seed))


def tell(story: Story) -> Result:
    """Run a story."""
    seed = story.seed
    random.seed(seed)
    loop = VirtualLoop()
    loop.set_exception_handler(lambda _loop, _context: None)
    stage = Stage(story, loop)
    violations: list[str] = []
    asyncio.set_event_loop(loop)
    with doubled(stage.fleet, stage.clients, stage.model, random.Random(seed + 3)):
        try:
            loop.run_until_complete(stage.play())
        except Deadlock as stuck:
            violations.append(f"P12 nothing goes on any more: {stuck}")
        violations += judge(story, stage.witness, stage.model)
        violations += stage.broker.complaints
        violations += [f"a process failed: {one}" for one in stage.fleet.failures]
    result = Result(
        seed,
        violations,
        stage.broker.digest.hexdigest()[:16],
        len(story.requests),
        len(stage.model.calls),
        len(stage.witness.strikes),
        loop.time(),
        loop.turns,
        stage.fleet.log.lines,
        {made.id: made.began_at for made in reversed(stage.model.calls)},
    )
    stage.fleet.over = True
    with doubled(stage.fleet, stage.clients, stage.model, stage.rng):
        loop.unwind(stage.fleet.processes)
    asyncio.set_event_loop(None)
    return result
