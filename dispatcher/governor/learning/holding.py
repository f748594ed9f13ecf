"""What was learned of limits, as the scopes of a ledger are held to it. No I/O."""

from typing import Final, NamedTuple

from headrace.dispatcher.governor.ledger import Ledger
from headrace.dispatcher.governor.node import Node
from headrace.dispatcher.governor.tree import Dimension

STEP: Final = 0.005
"""Smaller changes of a limit are not worth their trouble."""


class Place(NamedTuple):
    """One limit of a scope."""

    scope: str
    dimension: Dimension


class Holding:
    """All limits of one ledger that are held lower than the configuration says."""

    def __init__(self, ledger: Ledger) -> None:
        """All are as configured."""
        self._ledger = ledger
        self._held: dict[Place, int] = {}
        self._moved: set[str] = set()
        """Scopes of which `settle` has something to do."""
        self.replant()

    def replant(self) -> None:
        """The configured limits were changed: nothing is held any more."""
        self.nodes = {node.scope.name: node for node in self._ledger.nodes}
        self._held.clear()
        self._moved.clear()

    def configured(self, place: Place) -> int | None:
        """The limit of the configuration; None: there is none."""
        node = self.nodes.get(place.scope)
        return None if node is None else cap_of(node, place.dimension)

    def held(self, place: Place, usual: float) -> float:
        """What it is held to; `usual` where it is as configured."""
        return self._held.get(place, usual)

    def hold(self, place: Place, limit: int) -> bool:
        """Keep to `limit` from the next `settle` on; False if that is hardly a change."""
        configured = self.configured(place) or limit
        held = self._held.get(place, configured)
        small = max(1.0, STEP * held)
        if held == limit or (abs(limit - held) < small and limit != configured):
            return False
        self._held[place] = limit
        self._moved.add(place.scope)
        return True

    def forget(self, place: Place) -> None:
        """It is as configured."""
        self._held.pop(place, None)

    def settle(self) -> bool:
        """Bring the ledger up to date: its scopes, and what their lanes leave to one another."""
        moved, self._moved = self._moved, set()
        for scope in moved:
            held = {
                place.dimension: cap for place, cap in self._held.items() if place.scope == scope
            }
            self.nodes[scope].hold(held)
            for node in self.nodes.values():
                if node.scope.part_of == scope:
                    node.hold(_in_proportion(node, self.nodes[scope], held))
        return bool(moved)


def cap_of(node: Node, dimension: Dimension) -> int | None:
    """The configured limit of a scope."""
    return dict(node.scope.caps.named()).get(dimension)


def _in_proportion(part: Node, whole: Node, held: dict[Dimension, int]) -> dict[Dimension, int]:
    return {
        dimension: limit * (cap_of(part, dimension) or 1) // (cap_of(whole, dimension) or 1)
        for dimension, limit in held.items()
    }
