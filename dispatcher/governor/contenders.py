"""Flows that compete for room, whose turn it is among tenants, and how fast a lane may go."""

from dataclasses import dataclass
from typing import Final

from headrace.dispatcher.governor.node import Node
from headrace.dispatcher.governor.queues import Queue
from headrace.schemas.limits import Flow, Units, Want

SLOW_BURST_MS: Final = 300
"""A lane that is slowed down may take what comes in by so much time at once: ticks can be late."""


class Turn:
    """A tenant's virtual counter in one lane: what it was granted, divided by its weight.

    The tenant with the least goes next. One that comes back does not bring along a claim from the time in
    which it asked for nothing: its counter is lifted to the least of those who did.
    """

    __slots__ = ("counter", "seen_ms", "weight")

    def __init__(self, weight: float) -> None:
        """Begin with nothing granted."""
        self.weight = weight
        self.counter = 0.0
        self.seen_ms = -1
        """When it last had something queued."""


class Bucket:
    """How much of a deployment's limit one lane may take in a short time; debt is paid back by waiting."""

    __slots__ = ("_at_ms", "_least", "_level", "_per_ms")

    def __init__(self, per_ms: float) -> None:
        """Begin full."""
        self._per_ms = per_ms
        self._least = 0.0
        self._level = 1.0
        self._at_ms = 0

    def open(self, now_ms: int, most: float, share: float = 1.0) -> bool:
        """Whether there is anything in it. It fills up to `most`, at `share` of its speed.

        At less than the whole one no burst is saved up.
        """
        rate = self._per_ms * share
        most = max(most, self._least) if share >= 1 else min(most, rate * SLOW_BURST_MS)
        if now_ms > self._at_ms:
            self._level += (now_ms - self._at_ms) * rate
            self._at_ms = now_ms
        self._level = min(self._level, most)
        return share > 0 and self._level > 0

    def take(self, share: float) -> None:
        """It may go below 0. Two of the largest requests always have room, however small the limit."""
        self._least = max(self._least, 2 * share)
        self._level -= share

    def forgive(self) -> None:
        """Its debts are nobody's loss."""
        self._level = max(self._level, 0.0)


@dataclass(frozen=True, slots=True)
class Rate:
    """The part of one scope's limits that a unit takes: 1/limit, 0 where there is none."""

    requests: float
    input: float
    output: float
    total: float
    seats: float

    @classmethod
    def of(cls, node: Node) -> "Rate":
        """From the limits of a scope."""
        caps = node.caps
        limits = (
            caps.requests,
            caps.input_tokens,
            caps.output_tokens,
            caps.total_tokens,
            caps.seats,
        )
        return cls(*(1 / limit if limit else 0.0 for limit in limits))

    def windowed(self, units: Units) -> float:
        """The largest part of a window's limit."""
        return max(
            units[0] * self.requests,
            units[1] * self.input,
            units[2] * self.output,
            (units[1] + units[2]) * self.total,
        )


class Contender:
    """One flow with the queues of all sessions that have some of it."""

    __slots__ = ("flow", "got", "path", "queues", "rates", "turn")

    def __init__(self, flow: Flow, path: tuple[Node, ...], turn: Turn) -> None:
        """`path` are the scopes it is charged to."""
        self.flow = flow
        self.turn = turn
        self.got = 0.0
        """What it was granted: among the flows of one tenant the least comes first."""
        self.queues: dict[str, Queue] = {}
        self.lie_in(path)

    def lie_in(self, path: tuple[Node, ...]) -> None:
        """The scopes it is charged to, from now on."""
        self.path = path
        self.rates = [Rate.of(node) for node in path if node.scope.common and not node.scope.shadow]

    def head(self) -> tuple[Queue, Want] | None:
        """The request that has waited longest, or whose deadline is first, of all sessions."""
        best: tuple[Queue, Want] | None = None
        for queue in self.queues.values():
            if queue.session.silent:
                continue
            want = queue.head()
            if want is not None and (best is None or want.rank < best[1].rank):
                best = queue, want
        return best

    def ran_dry(self) -> bool:
        """Whether everything that was told is granted, and there may be more."""
        return self.head() is None and any(queue.full for queue in self.queues.values())

    def share(self, units: Units) -> float:
        """The part of the upstream's window that `units` take."""
        return max((rate.windowed(units) for rate in self.rates), default=0.0)

    def cost(self, units: Units) -> float:
        """What a grant counts in the order of tenants: its share, seats included."""
        seats = max((units[0] * rate.seats for rate in self.rates), default=0.0)
        return max(self.share(units), seats)

    @staticmethod
    def never(node: Node, want: Want) -> bool:
        """Whether the request is larger than a configured limit of the scope."""
        caps = node.scope.caps
        pairs = (
            (1, caps.requests),
            (want.input, caps.input_tokens),
            (want.output, caps.output_tokens),
            (want.input + want.output, caps.total_tokens),
        )
        return any(cap is not None and amount > cap for amount, cap in pairs)
