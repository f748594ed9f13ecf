"""Reserved seats that are lent to others: only as many as come back by themselves before they are missed.

How it works. Calls end at random, so the number of ends within the time in which an owner wants a seat back
is about Poisson's. Lent are as many seats as come back in that time with 99 chances of 100. Of calls that
take a minute that is none; of a hundred calls a second it is a few.
"""

from dataclasses import replace
from math import exp, sqrt
from typing import Final

from headrace.dispatcher.governor.node import Node

IN_TIME_MS: Final = 100
"""An owner has a seat back within this time."""
MEMORY_MS: Final = 10_000
"""Ends count for about so long."""
SURE: Final = 2.33
"""Standard deviations that 99 of 100 lie within."""


class Lending:
    """What is lent now of each scope that others have a reserve of."""

    def __init__(self) -> None:
        """Nothing is."""
        self._ends: dict[str, float] = {}
        """Scope -> its ends, older ones for less."""
        self._seen: dict[str, int] = {}
        self._at_ms = 0

    def lend(self, nodes: list[Node], now_ms: int) -> None:
        """Let those who own no reserve use as much of it as is sure to come back."""
        fading = exp((self._at_ms - now_ms) / MEMORY_MS)
        self._at_ms = now_ms
        wholes = {node.scope.name: node for node in nodes if node.scope.common}
        for node in nodes:
            whole = wholes.get(node.scope.part_of)
            if whole is not None and node.base.seats is not None:
                left = node.base.seats
                seats = left + min(whole.seats - left, self._lent(whole))
                if seats != node.seats:
                    node.caps = replace(node.base, seats=seats)
            elif node.scope.common and node.caps.seats is not None:
                self._count(node, fading)

    def clear(self) -> None:
        """The scopes are others from now on."""
        self._ends.clear()
        self._seen.clear()

    def _count(self, node: Node, fading: float) -> None:
        name = node.scope.name
        new = node.returned - self._seen.get(name, node.returned)
        self._seen[name] = node.returned
        self._ends[name] = self._ends.get(name, 0.0) * fading + new

    def _lent(self, whole: Node) -> int:
        """Scopes come before their parts, so its ends have been counted."""
        return surely_back(self._ends.get(whole.scope.name, 0.0) * IN_TIME_MS / MEMORY_MS)


def surely_back(expected: float) -> int:
    """The most seats of which all come back with 99 chances of 100, where `expected` come on average."""
    # Solves k + SURE * sqrt(k) + 1.3 = expected for the root of k.
    spare = expected - 1.3
    if spare <= 0:
        return 0
    root = (sqrt(SURE * SURE + 4 * spare) - SURE) / 2
    return int(root * root)
