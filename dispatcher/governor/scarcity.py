"""Seats that somebody waits for: whoever holds one tells at once that its call is over.

Elsewhere the end of a call is told with the next report, since nobody needs to know.
"""

from collections.abc import Iterable
from typing import Final

from headrace.dispatcher.governor.contenders import Contender
from headrace.dispatcher.governor.node import Node
from headrace.dispatcher.governor.standing import Touched

LASTS_MS: Final = 1_000
"""A scope counts as sought for so long after somebody was refused there: else each end would change it."""


class Scarcity:
    """Which scopes are sought."""

    def __init__(self) -> None:
        """None is."""
        self._until_ms: dict[Node, int] = {}

    def note(
        self, closed: Iterable[Node], contenders: Iterable[Contender], touched: Touched, now_ms: int
    ) -> None:
        """`closed` refused somebody just now; whose holders have to learn of a change is `touched`."""
        changed = {node for node in closed if node.full and not node.sought}
        self._until_ms.update((node, now_ms + LASTS_MS) for node in closed if node.full)
        over = [node for node, until_ms in self._until_ms.items() if until_ms <= now_ms]
        for node in over:
            del self._until_ms[node]
        changed.update(over)
        for node in changed:
            node.sought = node in self._until_ms
        if changed:
            _touch(changed, contenders, touched)

    def clear(self) -> None:
        """The scopes are others from now on."""
        self._until_ms.clear()


def _touch(changed: set[Node], contenders: Iterable[Contender], touched: Touched) -> None:
    for contender in contenders:
        if changed.isdisjoint(contender.path):
            continue
        for queue in contender.queues.values():
            if queue.account.in_use() or queue.account.outstanding().requests:
                touched.setdefault(queue.session, set()).add(contender.flow)
