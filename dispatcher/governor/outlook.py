"""What an owner can say of waits: how long at least whoever joins a queue now will wait. No I/O.

How it works. Ahead of a request are its own tenant's queue, and of each other tenant in its lane as much as
that tenant gets meanwhile. Under a limit on requests that is a matter of arithmetic: so many are charged,
so many go in a window. Tokens are reserved too high and given back, so of them only experience tells: what
a deployment was sent in the last window, if it had a queue for all of that time. Both leave out what would
make the wait longer, such as higher lanes.
"""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

from headrace.dispatcher.governor.learning.holding import Place as Learnt
from headrace.dispatcher.governor.node import Node
from headrace.dispatcher.governor.owner import Owner
from headrace.schemas.limits import Flow
from headrace.schemas.names import DeploymentName, LaneName, Tenant
from headrace.schemas.outlook import (
    MOST_FLOWS,
    MOST_SCOPES,
    FlowOutlook,
    Level,
    Outlook,
    ScopeOutlook,
)

Place = tuple[DeploymentName, LaneName]
LONGEST_MS: Final = 30 * 86_400_000


@dataclass(slots=True)
class Line:
    """A flow's queue in all dispatchers."""

    queued: int = 0
    uncovered: int = 0
    """Those for which no credits are in hand."""


class Crowd:
    """All flows of a place: how much of them goes while one of them gets so much."""

    def __init__(self, lines: Sequence[tuple[int, float]]) -> None:
        """(uncovered, weight) of each."""
        lines = sorted(lines, key=lambda line: line[0] / line[1])
        self._turns = [count / weight for count, weight in lines]
        self._counts = [0, *accumulate(count for count, _ in lines)]
        self._weights = [0.0, *accumulate(weight for _, weight in lines)]

    def within(self, turns: float) -> float:
        """Each one's queue, but at most `turns` times its weight."""
        ended = bisect_right(self._turns, turns)
        return self._counts[ended] + turns * (self._weights[-1] - self._weights[ended])


class Outlooks:
    """Of one owner; remembers since when there are queues."""

    def __init__(self, weights: Mapping[Tenant, float]) -> None:
        """`weights`: where they are not 1."""
        self._weights = weights
        self._since_ms: dict[Place, int] = {}

    def of(self, owner: Owner) -> Outlook:
        """As of the owner's last tick."""
        lines = _lines(owner)
        places: dict[Place, dict[Flow, Line]] = {}
        for flow, line in lines.items():
            places.setdefault((flow.deployment, flow.lane), {})[flow] = line
        now_ms = owner.ledger.now_ms
        self._since_ms = {
            place: self._since_ms.get(place, now_ms)
            for place, queue in places.items()
            if any(line.uncovered for line in queue.values())
        }
        crowds = {place: self._crowd(queue) for place, queue in places.items()}
        flows = [
            FlowOutlook(flow, line.queued, self._wait_ms(owner, flow, line.uncovered, crowds))
            for flow, line in lines.items()
        ]
        flows.sort(key=lambda one: -one.wait_ms)
        learned = owner.restraints.now(now_ms)
        scopes = [_scope(node, learned, now_ms) for node in owner.ledger.nodes[:MOST_SCOPES]]
        return Outlook(owner.epoch, scopes, flows[:MOST_FLOWS])

    def _crowd(self, queue: Mapping[Flow, Line]) -> "Crowd":
        return Crowd([(line.uncovered, self._weight(flow)) for flow, line in queue.items()])

    def _wait_ms(self, owner: Owner, flow: Flow, own: int, crowds: Mapping[Place, "Crowd"]) -> int:
        if not own:
            return 0
        place = (flow.deployment, flow.lane)
        ahead = crowds[place].within(own / self._weight(flow))
        longest = 0.0
        for node in owner.ledger.path(flow):
            count = own if node.scope.tenants is not None else ahead
            longest = max(longest, self._wait_at(node, count, place, owner.ledger.now_ms))
        return min(int(longest), LONGEST_MS)

    def _wait_at(self, node: Node, count: float, place: Place, now_ms: int) -> float:
        window_ms = node.scope.window_ms
        waits = [0.0]
        cap = node.caps.requests
        if cap is not None:
            over = node.open_requests + node.sent_requests + count - cap
            waits.append(over / cap * window_ms)
        queued_ms = now_ms - self._since_ms.get(place, now_ms)
        if node.sent_requests and queued_ms >= node.width_ms:
            waits.append((count / node.sent_requests - 1) * window_ms)
        return max(waits)

    def _weight(self, flow: Flow) -> float:
        return self._weights.get(flow.tenant, 1.0)


def _lines(owner: Owner) -> dict[Flow, Line]:
    lines: dict[Flow, Line] = {}
    for session in owner.sessions.values():
        if session.over_ms is not None or session.silent:
            continue
        for flow, queue in session.queues.items():
            if queue.queued:
                line = lines.setdefault(flow, Line())
                line.queued += queue.queued
                line.uncovered += max(0, queue.queued - queue.account.outstanding().requests)
    return lines


def _scope(node: Node, learned: Mapping[Learnt, float], now_ms: int) -> ScopeOutlook:
    charged, name = node.charged(), node.scope.name
    levels = [
        Level(
            dimension.value,
            cap,
            max(0, charged[dimension]),
            None if (known := learned.get(Learnt(name, dimension))) is None else max(1, int(known)),
        )
        for dimension, cap in node.caps.named()
    ]
    return ScopeOutlook(name, levels, node.empty_ms(now_ms))
