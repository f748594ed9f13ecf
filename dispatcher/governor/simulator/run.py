"""One run of one story."""

import hashlib
from dataclasses import dataclass
from random import Random

from headrace.dispatcher.governor.simulator.clock import Clock
from headrace.dispatcher.governor.simulator.dispatcher import Dispatcher, Places
from headrace.dispatcher.governor.simulator.faults import strike
from headrace.dispatcher.governor.simulator.governor import Governor
from headrace.dispatcher.governor.simulator.log import Log
from headrace.dispatcher.governor.simulator.story import Story, Traffic
from headrace.dispatcher.governor.simulator.upstream import Arrival, Upstream, Window
from headrace.dispatcher.governor.simulator.witness import Witness
from headrace.schemas.journal import ProcessId
from headrace.schemas.limits import Command, Report

LONGEST_STALL_MS = 20_000
QUIET_MS = 25_000
"""After the last call: time in which everything that was outstanding must have come back."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run went."""

    seed: int
    violations: list[str]
    arrivals: list[Arrival]
    windows: list[Window]
    offered: int
    digest: str
    granted: list[tuple[int, Command]]
    """The log of grants: when each record was written."""


class Fleet:
    """All processes of a run."""

    def __init__(self, story: Story) -> None:
        """Nothing runs yet."""
        rng = Random(story.seed)  # noqa: S311 - a seed must repeat
        clock = Clock()
        upstream = Upstream(story.tree)
        seats = any(scope.caps.seats for scope in story.tree.scopes)
        witness = Witness(clock, upstream, story.timing, seats=seats)
        grants: Log[Command] = Log(clock, rng, story.weather)
        grants.landed.append(witness.wrote)
        reports: Log[Report] = Log(clock, rng, story.weather)
        self.places = Places(story, clock, rng, grants, reports, upstream, witness)
        self.tree = story.tree
        self.governors: list[Governor] = []
        self.dispatchers: list[Dispatcher] = []
        self.offered = 0
        self._names = 0

    def start(self) -> None:
        """Start everything."""
        for rank in range(self.places.story.governors):
            self.governors.append(self.new_governor(rank))
        for _ in range(self.places.story.dispatchers):
            self.dispatchers.append(self.new_dispatcher())
        for traffic in self.places.story.traffic:
            self._next(traffic)

    def new_governor(self, rank: int) -> Governor:
        """A process that was not there before."""
        return Governor(self.places, self._name("g"), rank, self.tree)

    def new_dispatcher(self) -> Dispatcher:
        """A process that was not there before."""
        return Dispatcher(self.places, self._name("d"))

    def _name(self, kind: str) -> ProcessId:
        self._names += 1
        return ProcessId(f"{kind}{self._names}")

    def _next(self, traffic: Traffic) -> None:
        clock, rng = self.places.clock, self.places.rng
        wait = max(1, round(1000 * rng.expovariate(traffic.per_s)))
        when = max(clock.now, traffic.from_ms) + wait
        if when < min(traffic.until_ms, self.places.story.until_ms):
            clock.at(when, self._ask, traffic)

    def _ask(self, traffic: Traffic) -> None:
        rng = self.places.rng
        numbers = traffic.only or range(len(self.dispatchers))
        dispatcher = self.dispatchers[rng.choice(numbers)]
        self.offered += 1
        if dispatcher.alive:
            dispatcher.ask(traffic.flow, *rng.choice(traffic.sizes))
        self._next(traffic)


def simulate(story: Story) -> Outcome:
    """Play a story; the same one gives the same outcome, bit for bit."""
    fleet = Fleet(story)
    places = fleet.places
    fleet.start()
    for fault in story.faults:
        places.clock.at(fault.at_ms, strike, fleet, fault)
    places.clock.run(story.until_ms)
    if story.faults:
        _rest(fleet)
    digest = hashlib.sha256()
    for stamp, command in places.grants.records:
        digest.update(f"{stamp} {command}\n".encode())
    for arrival in places.upstream.arrivals:
        digest.update(f"{arrival}\n".encode())
    return Outcome(
        story.seed,
        places.witness.violations + places.upstream.violations,
        places.upstream.arrivals,
        places.upstream.windows,
        fleet.offered,
        digest.hexdigest()[:16],
        places.grants.records,
    )


def _rest(fleet: Fleet) -> None:
    """Let every fault pass and everybody go home, then look whether all came back."""
    clock, story = fleet.places.clock, fleet.places.story
    ends = [fault.at_ms + max(fault.lasts_ms, LONGEST_STALL_MS) for fault in story.faults]
    clock.run(max(clock.now, *ends))
    for dispatcher in fleet.dispatchers:
        dispatcher.rest()
    clock.run(clock.now + QUIET_MS + story.call_ms[1])
    for governor in fleet.governors:
        if governor.owner is not None and governor.owner.epoch == fleet.places.witness.epoch:
            fleet.places.witness.rested(governor.owner.ledger)
