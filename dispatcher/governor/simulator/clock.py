"""Virtual time: a heap of events. Nothing waits, and equal times keep the order they were planned in."""

from collections.abc import Callable
from heapq import heappop, heappush


class Clock:
    """True time in milliseconds from the beginning of the run."""

    def __init__(self) -> None:
        """Nothing is planned."""
        self.now = 0
        self._heap: list[tuple[int, int, Callable[..., None], tuple[object, ...]]] = []
        self._number = 0

    def at(self, when: int, act: Callable[..., None], *arguments: object) -> None:
        """Plan `act`; what lies in the past happens now."""
        self._number += 1
        heappush(self._heap, (max(when, self.now), self._number, act, arguments))

    def run(self, until: int) -> None:
        """Let everything happen that is planned up to `until`, exclusive."""
        heap = self._heap
        while heap and heap[0][0] < until:
            self.now, _, act, arguments = heappop(heap)
            act(*arguments)
        self.now = until
