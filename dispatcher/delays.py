"""Waits: which delay topic a retry goes to, and when what waits in memory is due.

No I/O. A delay topic has one constant delay, so due times in a partition only grow and its reader waits
at the head. Any wait is composed greedily from the largest tier that fits; the rest, at most
`memory_retry_s`, is waited for in memory. Nothing is ever early (P6): each step ends at or after its time.
"""

import heapq
from collections import Counter
from collections.abc import Callable

from headrace.dispatcher.tenure import Tenure
from headrace.dispatcher.waiting import Waiting
from headrace.schemas.topics import TIERS

SHORTEST_TIER = next(iter(TIERS))


def tier_for(wait_ms: int) -> str:
    """The largest tier that does not overshoot `wait_ms`; the shortest where all do."""
    fitting = [tier for tier, delay_ms in TIERS.items() if delay_ms <= wait_ms]
    return fitting[-1] if fitting else SHORTEST_TIER


class Timers:
    """Requests that wait for a point in time, earliest first."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, Waiting]] = []
        self._count = 0
        self.size = 0
        """Bytes of the bodies that wait."""
        self._sizes: Counter[Tenure] = Counter()
        self._counts: Counter[Tenure] = Counter()

    def __len__(self) -> int:
        return len(self._heap)

    def push(self, at_ms: int, waiting: Waiting) -> None:
        """Wake `waiting` at `at_ms`."""
        self._count += 1
        heapq.heappush(self._heap, (at_ms, self._count, waiting))
        self._account(waiting, 1)

    def size_of(self, tenure: Tenure) -> int:
        """Bytes of the bodies that wait, of one partition."""
        return self._sizes[tenure]

    def count_of(self, tenure: Tenure) -> int:
        """How many wait, of one partition."""
        return self._counts[tenure]

    def due(self, now_ms: int) -> list[Waiting]:
        """Take what is due, in order of its time."""
        out = []
        while self._heap and self._heap[0][0] <= now_ms:
            out.append(heapq.heappop(self._heap)[2])
            self._account(out[-1], -1)
        return out

    def next_ms(self) -> int | None:
        """When the next one is due."""
        return self._heap[0][0] if self._heap else None

    def take(self, condition: Callable[[Waiting], bool]) -> list[Waiting]:
        """Take out all that meet `condition`, due or not."""
        out = [entry[2] for entry in self._heap if condition(entry[2])]
        if out:
            gone = set(map(id, out))
            self._heap = [entry for entry in self._heap if id(entry[2]) not in gone]
            heapq.heapify(self._heap)
        for waiting in out:
            self._account(waiting, -1)
        return out

    def _account(self, waiting: Waiting, sign: int) -> None:
        size, tenure = sign * waiting.size, waiting.tenure
        self.size += size
        self._sizes[tenure] += size
        self._counts[tenure] += sign
        if not self._counts[tenure]:
            del self._sizes[tenure], self._counts[tenure]
