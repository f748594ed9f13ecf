"""Which letters are meant: filters, and collections of bounded size that later marks correct. No I/O."""

from fnmatch import fnmatchcase
from heapq import heappop, heappush

import msgspec

from headrace.schemas.letters import Letter, Mark

Place = tuple[int, int]
"""Partition and offset on `dead-letters`."""


class Filter(msgspec.Struct, frozen=True, kw_only=True):
    """All that is told must hold. Names may be shell patterns; times are epoch ms, `until` exclusive."""

    ids: frozenset[str] = frozenset()
    """Request ids, or places as `partition:offset`."""
    reasons: frozenset[str] = frozenset()
    tenant: str = ""
    model: str = ""
    since_ms: int = 0
    until_ms: int | None = None

    def takes(self, letter: Letter) -> bool:
        """Whether `letter` is meant."""
        return (
            letter.at_ms >= self.since_ms
            and (self.until_ms is None or letter.at_ms < self.until_ms)
            and (not self.ids or letter.id in self.ids or place_of(letter) in self.ids)
            and (not self.reasons or letter.reason in self.reasons)
            and (not self.tenant or fnmatchcase(letter.tenant, self.tenant))
            and (not self.model or fnmatchcase(letter.model, self.model))
        )


class Chosen(msgspec.Struct):
    """A letter that was asked for, and its mark, if one was read."""

    letter: Letter
    mark: Mark | None = None


class Newest:
    """The newest `limit` letters that a filter takes; memory is bounded by the limit.

    Records of one partition come in their order, those of several in any.
    """

    def __init__(self, wanted: Filter, limit: int) -> None:
        self._wanted = wanted
        self._limit = limit
        self._kept: dict[Place, Chosen] = {}
        self._order: list[tuple[int, Place]] = []
        """The oldest on top."""
        self.matched = 0
        """Letters that were meant, kept or not."""

    def take(self, record: Letter | Mark | None, partition: int) -> None:
        """The next record of the topic."""
        match record:
            case Letter():
                if self._wanted.takes(record):
                    self._keep(record)
            case Mark():
                kept = self._kept.get((partition, record.offset))
                if kept is not None:
                    kept.mark = record

    def chosen(self) -> list[Chosen]:
        """What was found, the newest first."""
        return [self._kept[place] for _, place in sorted(self._order, reverse=True)]

    def _keep(self, letter: Letter) -> None:
        place = (letter.partition, letter.offset)
        self.matched += 1
        self._kept[place] = Chosen(letter)
        heappush(self._order, (letter.at_ms, place))
        if len(self._order) > self._limit:
            _, oldest = heappop(self._order)
            del self._kept[oldest]


class Pending:
    """All letters that a filter takes and that have no mark: one bit for each offset of the topic."""

    def __init__(
        self, wanted: Filter, begin: dict[int, int], end: dict[int, int], *, again: bool = False
    ) -> None:
        """`begin` and `end` (exclusive) of each partition. With `again`, marks count for nothing."""
        self._wanted = wanted
        self._again = again
        self.unseen = set(wanted.ids)
        """Ids that were asked for and of which no letter was met yet."""
        self._begin = begin
        self._bits = {n: bytearray((end[n] - begin[n]) // 8 + 1) for n in begin}

    def take(self, record: Letter | Mark | None, partition: int) -> None:
        """The next record of the topic; a mark comes after its letter."""
        match record:
            case Letter():
                if self._wanted.takes(record):
                    self._set(partition, record.offset, pending=True)
                    self.unseen -= {record.id, place_of(record)}
            case Mark() if not self._again:
                self._set(partition, record.offset, pending=False)

    def holds(self, partition: int, offset: int) -> bool:
        """Whether the letter that stands there is meant."""
        at = offset - self._begin[partition]
        return bool(self._bits[partition][at // 8] >> at % 8 & 1)

    def count(self) -> int:
        """How many letters are meant."""
        return sum(int.from_bytes(bits).bit_count() for bits in self._bits.values())

    def last(self, partition: int) -> int | None:
        """The highest offset that is meant there."""
        top = int.from_bytes(self._bits[partition], "little").bit_length()
        return self._begin[partition] + top - 1 if top else None

    def _set(self, partition: int, offset: int, *, pending: bool) -> None:
        at = offset - self._begin[partition]
        if 0 <= at < 8 * len(self._bits[partition]):
            bit = 1 << at % 8
            kept = self._bits[partition][at // 8] & ~bit
            self._bits[partition][at // 8] = kept | bit if pending else kept


def place_of(letter: Letter) -> str:
    """Where a letter stands, as it is shown and may be asked for."""
    return f"{letter.partition}:{letter.offset}"
