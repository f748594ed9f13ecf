"""How far the inboxes are passed on: offsets read, offsets still held, and what may be committed. Sans-IO.

A record is held while its answer is still owed. Those behind it are passed on meanwhile, but the
position stays at the oldest held one, so that a successor owes the same answers.
"""

from typing import NamedTuple


class Place(NamedTuple):
    """A partition of an inbox."""

    topic: str
    partition: int


class Progress:
    """Of the partitions that this process has; `lost` forgets them."""

    def __init__(self) -> None:
        self._next: dict[Place, int] = {}
        self._held: dict[Place, set[int]] = {}
        self._told: dict[Place, int] = {}
        self.epoch = 0
        """How often the partitions were given out anew."""

    @property
    def held(self) -> int:
        """Records whose answers are owed."""
        return sum(map(len, self._held.values()))

    def hold(self, place: Place, offset: int) -> None:
        """The record at `offset` owes an answer."""
        self._held.setdefault(place, set()).add(offset)

    def holds(self, place: Place, offset: int) -> bool:
        """Whether that record's answer is already seen to."""
        return offset in self._held.get(place, ())

    def release(self, place: Place, offset: int) -> None:
        """It owes no more; also told of a partition that is lost."""
        self._held.get(place, set()).discard(offset)

    def passed(self, place: Place, next_offset: int, epoch: int) -> None:
        """Everything before `next_offset`, read in `epoch`, is written on or held. Of an earlier epoch
        it says nothing: what was held then is read, and held, once more.
        """
        if epoch != self.epoch:
            return
        self._next[place] = max(next_offset, self._next.get(place, 0))

    def positions(self) -> dict[Place, int]:
        """What may be committed, of partitions where it has moved."""
        moved: dict[Place, int] = {}
        for place, next_offset in self._next.items():
            position = min(self._held.get(place, ()), default=next_offset)
            if self._told.get(place) != position:
                moved[place] = position
        return moved

    def committed(self, positions: dict[Place, int]) -> None:
        """Kafka knows these."""
        self._told |= positions

    def lost(self) -> None:
        """The partitions are given out anew: whoever gets one starts where it was committed."""
        self.epoch += 1
        self._next.clear()
        self._held.clear()
        self._told.clear()
