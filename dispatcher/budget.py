"""The retry budget: how many calls may be repeats, so that an outage is not multiplied. No I/O.

How it works. Each first call of a model pays `share` of a credit in, time pays `floor_per_s`, and a
repeat takes one credit; what is not used within a minute is forfeited. An empty budget refuses
nothing: it *defers* (the repeat is due when the credit will be there), so that an outage fills the
delay topics and not the dead letters. A repeat that a throttling upstream asked for costs nothing:
the upstream paces those itself.

Each process keeps its own. First calls are counted where they are made, so the shares of all
processes add up to the fleet's share; the floor is divided by the number of processes that live.
"""

from dataclasses import dataclass
from typing import Final

WINDOW_S: Final = 60


@dataclass(frozen=True, slots=True)
class BudgetPolicy:
    """Repeats that are allowed: a share of the last minute's first calls, and a floor."""

    share: float = 0.2
    floor_per_s: float = 10.0

    def __post_init__(self) -> None:
        """Refuse a budget out of which nothing would ever come."""
        if self.share < 0 or self.floor_per_s <= 0:
            raise ValueError("a retry budget needs a share of at least 0 and a floor above 0")


class RetryBudget:
    """The credits of one model. `now_s` is monotonic and never goes back."""

    def __init__(self, policy: BudgetPolicy) -> None:
        """Begin with the floor of a whole minute."""
        self._policy = policy
        self._seconds = [0] * WINDOW_S
        """First calls by second, the last minute of them."""
        self._processes = 1
        self._second = 0
        self._calls = 0
        self._refilled_s: float | None = None
        self._credits = self._most

    @property
    def _most(self) -> float:
        """A minute's worth: as much as can be saved up."""
        return self._policy.share * self._calls + self._floor_per_s * WINDOW_S

    @property
    def _floor_per_s(self) -> float:
        return self._policy.floor_per_s / self._processes

    def divide(self, processes: int, now_s: float) -> None:
        """So many processes have the floor together, from now on."""
        if processes != self._processes:
            self._refill(now_s)
            self._processes = processes
            self._credits = min(self._credits, self._most)

    def first_call(self, now_s: float) -> None:
        """A request is called for the first time."""
        self._turn(int(now_s))
        self._seconds[self._second % WINDOW_S] += 1
        self._calls += 1
        self._credits += self._policy.share

    def wait_ms(self, now_s: float) -> int:
        """How long until the next repeat has its credit; 0: it is there."""
        self._refill(now_s)
        if self._credits >= 1:
            return 0
        return round((1 - self._credits) * WINDOW_S * 1000 / self._most)

    def spend(self, now_s: float) -> None:
        """A repeat was granted, now or for the time that `wait_ms` told."""
        self._refill(now_s)
        self._credits -= 1

    def _refill(self, now_s: float) -> None:
        self._turn(int(now_s))
        last_s = now_s if self._refilled_s is None else self._refilled_s
        self._refilled_s = now_s
        self._credits += (now_s - last_s) * self._floor_per_s
        self._credits = min(self._credits, self._most)

    def _turn(self, second: int) -> None:
        """Forget the seconds that are older than the window."""
        for past in range(max(self._second + 1, second - WINDOW_S + 1), second + 1):
            self._calls -= self._seconds[past % WINDOW_S]
            self._seconds[past % WINDOW_S] = 0
        self._second = max(self._second, second)
