"""A request that waits for room, and who may pass by meanwhile without making it wait longer.

How it works. What was spent leaves the window at a time that is known, so it is known when the request
will fit at the latest. More may have left by then than it needs: so much may be granted to others at once
(schedulers of batch jobs call that backfilling). Each is charged for it, and nobody may get further ahead of
the one that waits than by the largest request: the order of tenants is kept as closely as without.
"""

from typing import Final

from headrace.dispatcher.governor.account import plus
from headrace.dispatcher.governor.contenders import Contender
from headrace.dispatcher.governor.node import Node
from headrace.schemas.limits import Units

GRID_MS: Final = 100
"""The time at which a request is expected to fit is told in steps, as grants come in ticks."""
LEAST: Final = Units(1)
"""No request is smaller."""


class Reservation:
    """Room for one request at `at_ms`. It holds for one tick: the next one makes it anew, never later."""

    __slots__ = ("_counter", "_left", "at_ms", "need")

    def __init__(self, contender: Contender, need: Units, at_ms: int) -> None:
        """`need` of `contender` will fit at `at_ms`."""
        self.at_ms = at_ms
        self.need = need
        self._left: dict[Node, Units] = {node: node.left_by(at_ms) for node in contender.path}
        self._counter = contender.turn.counter

    def lets_pass(self, contender: Contender, need: Units, ahead: float) -> bool:
        """Whether `contender` may be granted `need` before, and be `ahead` in its turn at most."""
        turn = contender.turn
        if turn.counter + contender.cost(need) / turn.weight > self._counter + ahead:
            return False
        both = plus(self.need, need)
        return all(
            node not in self._left or node.refuses(both, self._left[node]) is None
            for node in contender.path
        )


def reserve(contender: Contender, need: Units, full: Node) -> Reservation | None:
    """Room for a request that `full` refuses now; None: it is not known when, or nobody could pass by."""
    if full.refuses(LEAST) is not None:
        return None
    at_ms = 0
    for node in contender.path:
        if node.refuses(need) is not None:
            clears_ms = node.clears_ms(need)
            if clears_ms is None:
                return None
            at_ms = max(at_ms, -(-clears_ms // GRID_MS) * GRID_MS)
    return Reservation(contender, need, at_ms) if at_ms else None
