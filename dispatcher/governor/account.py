"""What one session was granted, spent and renounced of one flow, as its owner knows it."""

from collections import deque

from headrace.dispatcher.governor.node import Node, Spend
from headrace.schemas.limits import NOTHING, Flow, FlowGrant, Units


def plus(one: Units, other: Units) -> Units:
    """The sum."""
    return Units(one[0] + other[0], one[1] + other[1], one[2] + other[2])


def minus(one: Units, other: Units) -> Units:
    """The difference."""
    return Units(one[0] - other[0], one[1] - other[1], one[2] - other[2])


def greater(one: Units, other: Units) -> Units:
    """The greater of each: how cumulative counters merge."""
    return Units(max(one[0], other[0]), max(one[1], other[1]), max(one[2], other[2]))


def lesser(one: Units, other: Units) -> Units:
    """The lesser of each."""
    return Units(min(one[0], other[0]), min(one[1], other[1]), min(one[2], other[2]))


class Account:
    """Cumulative counters; `nodes` are the scopes that are charged."""

    __slots__ = (
        "_burst",
        "_counted",
        "ended",
        "flow",
        "granted",
        "keep",
        "nodes",
        "refunded",
        "renounced",
        "spends",
        "spent",
        "stale",
        "unconfirmed",
        "void",
    )

    def __init__(self, flow: Flow, nodes: tuple[Node, ...], spent: Units, renounced: Units) -> None:
        """Begin with counters that are known, and nothing outstanding."""
        self.flow = flow
        self.nodes = nodes
        self.spent = spent
        self.renounced = renounced
        self.granted = plus(spent, renounced)
        self.ended = spent.requests
        self.spends: deque[Spend] = deque()
        """Those that refunds may still be told for."""
        self.refunded: set[int] = set()
        """Ordinals of requests of `spends` that were settled."""
        self.void = False
        self.unconfirmed = NOTHING
        """Of a void account: charged at expiry, and not told as spent since."""
        self.keep = 0
        self._counted = spent.requests
        self._burst = 0.0
        self.stale = False
        """Whether something changed that no record has told."""

    def outstanding(self) -> Units:
        """What the session may yet spend; a flow that owes tokens has none of those."""
        if self.void:
            return NOTHING
        return greater(self.credit(), NOTHING)

    def credit(self) -> Units:
        """The same, below 0 where more was used than had been granted."""
        granted, spent, renounced = self.granted, self.spent, self.renounced
        return Units(
            granted[0] - spent[0] - renounced[0],
            granted[1] - spent[1] - renounced[1],
            granted[2] - spent[2] - renounced[2],
        )

    def pace(self, fades: float) -> float:
        """Requests that were spent since it was asked before, or what is left of more: `fades` each time."""
        spent = self.spent.requests - self._counted
        self._counted = self.spent.requests
        self._burst = max(spent, self._burst * fades)
        return self._burst

    def in_use(self) -> int:
        """Seats that its calls hold."""
        return 0 if self.void else max(0, self.spent.requests - self.ended)

    @property
    def sought(self) -> bool:
        """Whether somebody waits for a seat of a scope that it lies in."""
        return any(node.sought for node in self.nodes)

    def idle(self) -> bool:
        """Whether nothing of it counts, now or later: `forget` is called before."""
        busy = self.void or self.stale or self.keep or self.spends or self.in_use()
        return not busy and self.credit() == NOTHING

    def told(self) -> FlowGrant:
        """As the owner states it in its log."""
        return FlowGrant(
            self.flow,
            self.granted,
            self.spent,
            self.renounced,
            self.ended,
            self.keep,
            self.sought,
        )

    def forget(self, passed_ms: int) -> None:
        """Refunds for spends that have left every window come too late."""
        spends = self.spends
        while spends and spends[0].stamp_ms <= passed_ms:
            gone = spends.popleft()
            if self.refunded:
                self.refunded.difference_update(range(gone.first, gone.last + 1))

    def spend_of(self, ordinal: int) -> Spend | None:
        """The spend that request was in, unless it is too old."""
        for spend in reversed(self.spends):
            if spend.first <= ordinal <= spend.last:
                return spend
        return None
