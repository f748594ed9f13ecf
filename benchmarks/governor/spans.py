"""How full sliding windows were, from the upstream's own log. Pure; times are epoch milliseconds."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

WINDOW_MS = 60_000
STEP_MS = 100
"""Between two windows that the mean is taken of."""


class Taken(NamedTuple):
    """One call that the upstream accepted."""

    at_ms: int
    amount: int


class Spans:
    """Sums over any span of time."""

    def __init__(self, taken: Sequence[Taken]) -> None:
        ordered = sorted(taken)
        self.times = [one.at_ms for one in ordered]
        self._sums = [0, *accumulate(one.amount for one in ordered)]

    def between(self, begin_ms: int, end_ms: int) -> int:
        """Of what came at `begin_ms` or later, and before `end_ms`."""
        return (
            self._sums[bisect_left(self.times, end_ms)]
            - self._sums[bisect_left(self.times, begin_ms)]
        )

    def most(self) -> int:
        """The fullest window: one ends with each call, and holds what came less than 60 s before it."""
        return max((self._ending_with(at) for at in self.times), default=0)

    def mean(self, begin_ms: int, end_ms: int) -> float:
        """The mean of all windows that lie between two times; of none it is 0."""
        starts = range(begin_ms, end_ms - WINDOW_MS + 1, STEP_MS)
        sums = [self.between(start, start + WINDOW_MS) for start in starts]
        return sum(sums) / len(sums) if sums else 0.0

    def _ending_with(self, at_ms: int) -> int:
        last = self._sums[bisect_right(self.times, at_ms)]
        return last - self._sums[bisect_right(self.times, at_ms - WINDOW_MS)]
