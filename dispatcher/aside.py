"""What is put aside of one kind, told by age: so a turn counts the older ones, wherever they wait. No I/O.

They are remembered by lumps, and no more than `MOST_LUMPS` of them, however many wait.
"""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Final, NamedTuple

from headrace.dispatcher.waiting import Waiting

MOST_LUMPS: Final = 256


def age_of(waiting: Waiting) -> float:
    """Its rank, and an order among those of one millisecond, which may be thousands."""
    return waiting.rank + waiting.source.offset % 4096 / 4096


Older = Callable[[float], float]
"""Tells of an age how many are aside before it."""


class Lump(NamedTuple):
    """Requests that were put aside together; the oldest comes back first, the others evenly after it."""

    number: int
    age: float
    last_age: float
    due_ms: int
    last_due_ms: int

    def left(self, now_ms: int) -> tuple[float, float]:
        """Those that are not back yet: the age in their middle, and how many they are."""
        back = (now_ms - self.due_ms + 1) / (self.last_due_ms - self.due_ms + 1)
        back = min(1.0, max(0.0, back))
        middle = self.age + (self.last_age - self.age) * (1 + back) / 2
        return middle, self.number * (1 - back)

    def joined(self, younger: "Lump") -> "Lump":
        """With another one as one lump."""
        return Lump(
            self.number + younger.number,
            self.age,
            max(self.last_age, younger.last_age),
            min(self.due_ms, younger.due_ms),
            max(self.last_due_ms, younger.last_due_ms),
        )


class Aside:
    """Of one kind, as far as this process put it aside."""

    def __init__(self) -> None:
        self._lumps: list[Lump] = []

    def __bool__(self) -> bool:
        return bool(self._lumps)

    def add(self, lump: Sequence[Waiting]) -> None:
        """Some are put aside until they are due, in the order of their ages."""
        if len(self._lumps) == MOST_LUMPS:
            self._lumps = _fewer(self._lumps)
        dues = [waiting.due_ms for waiting in lump]
        self._lumps.append(Lump(len(lump), age_of(lump[0]), age_of(lump[-1]), min(dues), max(dues)))

    def forget(self, now_ms: int) -> None:
        """Those that are all back."""
        self._lumps = [lump for lump in self._lumps if lump.last_due_ms > now_ms]

    def older(self, now_ms: int) -> Older:
        """Tells of an age how many are still aside before it."""
        left = sorted(lump.left(now_ms) for lump in self._lumps)
        ages = [age for age, _ in left]
        sums = list(accumulate((number for _, number in left), initial=0.0))
        return lambda age: sums[bisect_left(ages, age)]


def _fewer(lumps: list[Lump]) -> list[Lump]:
    """About half as many as there may be: the small ones are joined with those next in age."""
    enough = 4 * sum(one.number for one in lumps) / MOST_LUMPS
    fewer: list[Lump] = []
    for one in sorted(lumps, key=lambda one: one.age):
        if fewer and fewer[-1].number + one.number <= enough:
            fewer[-1] = fewer[-1].joined(one)
        else:
            fewer.append(one)
    return fewer
