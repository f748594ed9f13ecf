"""Whose turn it is among lanes that all have something to do. No I/O."""

from collections import defaultdict
from collections.abc import Hashable, Sequence

from headrace.schemas.names import LaneName


class Turns:
    """Strict priority, but of the picks made while a lower lane waits, `share` go below the higher one."""

    def __init__(self, share: float) -> None:
        self._share = share
        self._debt: dict[tuple[Hashable, LaneName], float] = defaultdict(float)

    def next(self, place: Hashable, busy: Sequence[LaneName]) -> LaneName:
        """The lane whose turn it is among `busy`, the highest first.

        Debts are kept for each `place`: else the picks of one could bring, each time, the lower lanes
        of another forward.
        """
        for lane in busy[:-1]:
            self._debt[place, lane] += self._share
            if self._debt[place, lane] < 1:
                return lane
            self._debt[place, lane] -= 1
        return busy[-1]
