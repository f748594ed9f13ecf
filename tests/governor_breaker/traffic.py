"""Traffic on one deployment in virtual time: dispatchers, their reports, the owner, an upstream.

The cores are the production code; what carries their words (lag, repeats, a dispatcher that dies with
a probe in hand) is played here. A seed repeats exactly.
"""

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import count, pairwise
from typing import NamedTuple

from headrace.dispatcher.breakers.switch import Switch
from headrace.dispatcher.governor import effects
from headrace.dispatcher.governor.breaker.deployment import DeploymentBreaker
from headrace.dispatcher.governor.breaker.policy import BreakerPolicy
from headrace.dispatcher.ports import Break, CallEnd
from headrace.schemas.breakers import ProbeEnd, State, Transition
from headrace.schemas.journal import ProcessId
from headrace.schemas.names import DeploymentName, RequestId, Tenant

START_MS = 1_800_000_000_000
TENANTS = (Tenant("acme"), Tenant("bolt"), Tenant("cargo"))


class Answer(NamedTuple):
    """What an upstream does with a call: a first byte after `begins_ms` (None: never), an end."""

    begins_ms: float | None
    ends_ms: float
    end: CallEnd


Upstream = Callable[[float, Tenant, random.Random], Answer]
"""(seconds since the start, tenant, dice) -> answer."""


def good(dice: random.Random) -> Answer:
    """Seconds, as language models take."""
    ends_ms = min(dice.lognormvariate(8.0, 0.7), 25_000)
    return Answer(ends_ms / 5, ends_ms, CallEnd(status=200))


def bad(dice: random.Random, status: int = 500) -> Answer:
    """Milliseconds, as errors take."""
    ms = dice.uniform(5, 150)
    return Answer(ms, ms, CallEnd(status=status))


def hanging(timeout_s: float = 60) -> Answer:
    """No first byte, until we give up."""
    return Answer(None, timeout_s * 1000, CallEnd(broken=Break.FIRST_BYTE_TIMEOUT))


def steady(share: float) -> Upstream:
    """Errors at random, always as many."""
    return lambda _, __, dice: bad(dice) if dice.random() < share else good(dice)


def outage(from_s: float, to_s: float, answer: Callable[[random.Random], Answer] = bad) -> Upstream:
    """All calls end as `answer` tells between two times."""
    return lambda at_s, _, dice: answer(dice) if from_s <= at_s < to_s else good(dice)


@dataclass
class Made:
    """A call that was made."""

    at_s: float
    tenant: Tenant
    end: CallEnd
    probe: int | None


@dataclass
class Dispatcher:
    """One process."""

    name: str
    switch: Switch
    alive: bool = True


class Traffic:
    """A run; `made`, `deferred` and `transitions` tell what happened."""

    def __init__(
        self,
        upstream: Upstream,
        *,
        seed: int,
        rps: float = 20,
        policy: BreakerPolicy | None = None,
        tenants: dict[Tenant, float] | None = None,
        dispatchers: int = 4,
        tick_ms: int = 100,
        streams: float = 0.7,
    ) -> None:
        self.policy = policy or BreakerPolicy()
        self.owner = DeploymentBreaker(DeploymentName("east"), 1, self.policy)
        self.made: list[Made] = []
        self.deferred = 0
        self.transitions: list[tuple[float, Transition]] = []
        self.fleet = [
            Dispatcher(
                f"d{n}",
                Switch(self.owner.deployment, ProcessId(f"d{n}"), self.policy, enforced=True),
            )
            for n in range(dispatchers)
        ]
        self.mortal_probes = 0
        """How many of the next probes' holders die with them."""
        self._upstream, self._rps, self._streams = upstream, rps, streams
        self._tenants = tenants or dict.fromkeys(TENANTS, 1.0)
        self._dice = random.Random(seed)
        self._tick_ms = tick_ms
        self._now_ms = START_MS
        self._events: list[tuple[int, int, Callable[[], None]]] = []
        self._number = count()
        self._later(0, self._tick)
        self._later(0, self._arrive)

    @property
    def now_s(self) -> float:
        """Seconds since the start."""
        return (self._now_ms - START_MS) / 1000

    def run(self, until_s: float) -> "Traffic":
        """Let time pass."""
        while self._events and self._events[0][0] <= START_MS + until_s * 1000:
            self._now_ms, _, event = heapq.heappop(self._events)
            event()
        return self

    def failed_calls(self, from_s: float, to_s: float) -> int:
        """Calls started in that time that failed."""
        failures = (effects.BreakerEffect.FAILURE, effects.BreakerEffect.OVERLOAD)
        return sum(
            from_s <= call.at_s < to_s and effects.effects_of(call.end).breaker in failures
            for call in self.made
        )

    def opened_s(self) -> list[float]:
        """When the breaker opened."""
        return [at_s for at_s, change in self.transitions if change.after is State.OPEN]

    def probes_by_round(self) -> list[int]:
        """How many probes were sent in each half-open round."""
        rounds: list[list[float]] = [
            [at_s, float("inf")]
            for at_s, change in self.transitions
            if change.after is State.HALF_OPEN
        ]
        for ahead, following in pairwise(rounds):
            ahead[1] = following[0]
        probes = [call.at_s for call in self.made if call.probe is not None]
        return [sum(first <= at_s < last for at_s in probes) for first, last in rounds]

    def _later(self, wait_ms: float, event: Callable[[], None]) -> None:
        at_ms = self._now_ms + max(0, round(wait_ms))
        heapq.heappush(self._events, (at_ms, next(self._number), event))

    def _lag_ms(self) -> float:
        return self._dice.uniform(2, 60)

    def _arrive(self) -> None:
        self._later(self._dice.uniform(0.5, 1.5) * 1000 / self._rps, self._arrive)
        tenant = self._dice.choices(list(self._tenants), list(self._tenants.values()))[0]
        living = [dispatcher for dispatcher in self.fleet if dispatcher.alive]
        dispatcher = self._dice.choice(living)
        request = RequestId(str(next(self._number)))
        if dispatcher.switch.state is State.HALF_OPEN:
            self._later(self._lag_ms(), lambda: self._want_probe(dispatcher, tenant))
        elif not dispatcher.switch.lets(request, self._now_ms):
            self.deferred += 1
        else:
            self._call(dispatcher, tenant, None)

    def _want_probe(self, dispatcher: Dispatcher, tenant: Tenant) -> None:
        probe = self.owner.lend_probe(dispatcher.name, self._now_ms)
        if probe is None:
            self.deferred += 1
        elif self.mortal_probes > 0:
            self.mortal_probes -= 1
            dispatcher.alive = len([d for d in self.fleet if d.alive]) == 1
        else:
            number = probe.number
            self._later(self._lag_ms(), lambda: self._call(dispatcher, tenant, number))

    def _call(self, dispatcher: Dispatcher, tenant: Tenant, probe: int | None) -> None:
        answer = self._upstream(self.now_s, tenant, self._dice)
        self.made.append(Made(self.now_s, tenant, answer.end, probe))
        stream = self._dice.random() < self._streams
        switch = dispatcher.switch
        call = switch.recorder.start(tenant, self._now_ms, stream=stream)
        switch.sent(self._now_ms)
        if answer.begins_ms is not None:
            self._later(answer.begins_ms, lambda: switch.recorder.first_byte(call, self._now_ms))

        def ended() -> None:
            effect = effects.effects_of(answer.end).breaker
            switch.recorder.end(call, effect, self._now_ms)
            switch.ended(answer.end, effect, call.at_ms, self._now_ms)
            if probe is not None:
                self._later(self._lag_ms(), lambda: self._tell(probe, effects.PROBE_ENDS[effect]))

        self._later(answer.ends_ms, ended)

    def _tell(self, probe: int, end: ProbeEnd) -> None:
        self.owner.end_probe(probe, end)
        self.owner.end_probe(probe, end)

    def _tick(self) -> None:
        self._later(self._tick_ms, self._tick)
        for dispatcher in self.fleet:
            if dispatcher.alive:
                self._report(dispatcher)
        change = self.owner.tick(self._now_ms, self._dice.random())
        if change is not None:
            self.transitions.append((self.now_s, change))
        row = self.owner.row(self._now_ms)
        for dispatcher in self.fleet:
            if dispatcher.switch.row != row:
                self._later(self._lag_ms(), partial(dispatcher.switch.obey, row, self._now_ms))

    def _report(self, dispatcher: Dispatcher) -> None:
        dispatcher.switch.recorder.forget(self._now_ms)
        cells = dispatcher.switch.recorder.changed(self._now_ms - 1_000 - self._tick_ms)
        for _ in range(1 + (self._dice.random() < 0.05)):
            self._later(
                self._lag_ms(), lambda: self.owner.report(dispatcher.name, cells, self._now_ms)
            )
