"""A timer wheel: what has to be done once per turn, spread over slots of one millisecond.

10,000 timers a second would cost more than the tokens they send; the wheel costs one timer a
millisecond.
"""

from collections.abc import Iterable
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Wheel(Generic[Item]):
    """Holds items, each due once every `slots` ticks. Knows no clock: the caller counts ticks."""

    def __init__(self, slots: int, tick: int) -> None:
        self._slots: list[dict[Item, None]] = [{} for _ in range(slots)]
        self._where: dict[Item, int] = {}
        self._tick = tick

    def add(self, item: Item) -> None:
        """First due one whole turn from now."""
        slot = self._tick % len(self._slots)
        self._where[item] = slot
        self._slots[slot][item] = None

    def remove(self, item: Item) -> None:
        """An unknown item is no error."""
        slot = self._where.pop(item, None)
        if slot is not None:
            del self._slots[slot][item]

    def due(self, tick: int) -> Iterable[Item]:
        """What became due after the last call up to `tick`, in order; late ticks are made up for."""
        late = range(self._tick + 1, tick + 1)
        self._tick = max(tick, self._tick)
        return [item for one in late for item in self._slots[one % len(self._slots)]]
