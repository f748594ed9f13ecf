"""What happens in a run: limits, traffic, and faults, all drawn from one seed."""

from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from random import Random

from headrace.dispatcher.governor.allocation import AllocationPolicy
from headrace.dispatcher.governor.simulator.log import Weather
from headrace.dispatcher.governor.timing import Timing
from headrace.dispatcher.governor.tree import Caps, Scope, Tree
from headrace.schemas.limits import Flow
from headrace.schemas.names import DeploymentName, LaneName, Tenant

LANES = (LaneName("interactive"), LaneName("standard"), LaneName("batch"))

PLAIN = AllocationPolicy(LANES)
TIMING = Timing()
FAIR = Weather()


class Trouble(StrEnum):
    """A fault and whom it strikes."""

    KILL_OWNER = "the owner dies, and comes back as a standby"
    FREEZE_OWNER = "the owner stands still, in the middle of a tick, and goes on later"
    RIVALS = "all standbys claim at once"
    KILL_DISPATCHER = "a dispatcher dies, another takes its place"
    FREEZE_DISPATCHER = "a dispatcher stands still"
    CUT_DISPATCHER = "a dispatcher reaches the upstream, but not the log"
    STALL = "the log takes and gives nothing"
    WIPE = "the topic of grants is deleted"
    CHANGE = "the limits are changed"
    SET_CLOCK = "the broker's clock is set by `number` seconds"
    CROWD = "`number` more dispatchers start"


DRAWN = tuple(one for one in Trouble if one not in (Trouble.SET_CLOCK, Trouble.CROWD))
"""What may happen in any story. A clock that is set just before its owner dies is not survived."""


@dataclass(frozen=True, slots=True)
class Fault:
    """At `at_ms`, for `lasts_ms`; `number` says whom it strikes, or how much."""

    trouble: Trouble
    at_ms: int
    lasts_ms: int
    number: int


@dataclass(frozen=True, slots=True)
class Traffic:
    """Requests of one flow that come at random, over all dispatchers."""

    flow: Flow
    per_s: float
    sizes: tuple[tuple[int, int], ...] = ((0, 0),)
    """(input, output) tokens, one as likely as another."""
    only: tuple[int, ...] = ()
    """Numbers of the dispatchers that they come to; none: all."""
    from_ms: int = 0
    until_ms: int = 1 << 60


@dataclass(frozen=True, slots=True)
class Story:
    """Everything that decides a run."""

    seed: int
    tree: Tree
    traffic: tuple[Traffic, ...]
    dispatchers: int
    until_ms: int
    policy: AllocationPolicy = PLAIN
    timing: Timing = TIMING
    governors: int = 2
    weather: Weather = FAIR
    faults: tuple[Fault, ...] = ()
    call_ms: tuple[int, int] = (200, 3_000)
    """How long a call takes; counted where seats are limited or tokens settled."""
    settles: float = 0.0
    """Chance that a call used less output than was reserved for it."""
    send_ms: int = 490
    """From a spent credit until the request is counted, at most."""
    drift_ppm: int = 100
    """How wrong each process's clock may run, either way."""

    @property
    def adaptive(self) -> frozenset[DeploymentName]:
        """Deployments whose seats are learned."""
        scopes = [scope for scope in self.tree.scopes if scope.adaptive is not None]
        return frozenset(DeploymentName(n) for scope in scopes for n in scope.deployments or ())


def draw(seed: int, *, seconds: tuple[int, int] = (60, 120)) -> Story:
    """A hostile run: several times the demand that fits, and a fault every ten seconds or so."""
    rng = Random(seed)  # noqa: S311 - a seed must repeat
    tree = _tree(rng)
    until_ms = 1000 * rng.randint(*seconds)
    dispatchers = rng.choice((1, 2, 2, 3, 3, 4, 5, 8))
    sizes = tuple((rng.randint(1, 20), rng.randint(1, 60)) for _ in range(rng.randint(1, 4)))
    seats = any(scope.caps.seats for scope in tree.scopes)
    return Story(
        seed,
        tree,
        tuple(_traffic(rng, tree, sizes, dispatchers, until_ms)),
        dispatchers,
        until_ms,
        _policy(rng),
        governors=rng.choice((1, 2, 2, 3)),
        weather=_weather(rng),
        faults=tuple(_faults(rng, until_ms, seats=seats)),
        settles=rng.choice((0.0, 0.0, 0.5)),
    )


def _policy(rng: Random) -> AllocationPolicy:
    """More credits in reserve than in earnest, so that more is at stake when somebody dies."""
    return AllocationPolicy(
        LANES,
        burst=rng.choice((0.1, 0.5, 2.0)),
        standing_share=rng.choice((0.02, 0.1, 0.3)),
        standing_load=rng.choice((0.8, 1.0)),
    )


def _tree(rng: Random) -> Tree:
    window_ms = 1000 * rng.randint(5, 20)
    requests = rng.randint(3, 60)
    caps = Caps(
        requests=requests,
        total_tokens=rng.choice((None, requests * 40, 6 * 80)),
        seats=rng.choice((None, None, rng.randint(2, 20))),
    )
    scopes = [Scope("pool", caps, window_ms)]
    if rng.random() < 0.4:
        share = Caps(requests=max(1, requests // 2))
        scopes.append(Scope("deployment", share, window_ms, deployments=frozenset({"a"})))
    if rng.random() < 0.4:
        share = Caps(requests=max(1, requests // 3))
        scopes.append(Scope("tenant", share, window_ms, tenants=frozenset({"t1"})))
    if rng.random() < 0.3:
        share = Caps(requests=max(1, requests * 4 // 5))
        lower = frozenset(LANES[1:])
        scopes.append(Scope("not interactive", share, window_ms, lanes=lower))
    return Tree(tuple(scopes))


def _traffic(
    rng: Random,
    tree: Tree,
    sizes: tuple[tuple[int, int], ...],
    dispatchers: int,
    until_ms: int,
) -> list[Traffic]:
    pool = tree.scopes[0]
    rate = (pool.caps.requests or 1) / (pool.window_ms / 1000)
    flows = [
        Flow(DeploymentName(rng.choice("ab")), rng.choice(LANES), Tenant(f"t{number}"))
        for number in range(rng.randint(1, 4))
    ]
    overload = rng.choice((0.5, 1, 2, 5))
    traffic: list[Traffic] = []
    for flow in dict.fromkeys(flows):
        # Where the requests come to changes now and then.
        ends = [0, *sorted(rng.sample(range(1, until_ms), rng.randint(0, 3))), until_ms]
        for begin, end in pairwise(ends):
            only = tuple(rng.sample(range(dispatchers), rng.randint(1, dispatchers)))
            per_s = overload * rate / len(flows)
            traffic.append(Traffic(flow, per_s, sizes, only, begin, end))
    return traffic


def _weather(rng: Random) -> Weather:
    if rng.random() < 0.3:
        return FAIR
    return Weather(
        write_ms=(1, rng.choice((10, 40, 200))),
        read_ms=(1, rng.choice((10, 40, 200))),
        slow=rng.choice((0.0, 0.01, 0.05)),
        lost=rng.choice((0.0, 0.01, 0.05)),
        repeated=rng.choice((0.0, 0.02, 0.1)),
    )


def _faults(rng: Random, until_ms: int, *, seats: bool) -> list[Fault]:
    faults: list[Fault] = []
    at_ms = rng.randint(3_000, 12_000)
    while at_ms < until_ms - 5_000:
        trouble = rng.choice(DRAWN)
        lasts_ms = int(1000 * rng.choice((0.3, 1, 2, 5, 12, 25, 60)) * rng.uniform(0.5, 1))
        if trouble is Trouble.FREEZE_DISPATCHER and seats:
            # A process that stands still cannot cut the calls whose seats it loses.
            lasts_ms = min(lasts_ms, 5_000)
        faults.append(Fault(trouble, at_ms, lasts_ms, rng.randint(0, 99)))
        at_ms += rng.randint(500, 18_000)
    return faults
