"""Which requests of a partition were read already, in little memory. No I/O.

Two generations of open-addressed tables, 12 bytes a slot: at least the last `generation` ids are known,
at most twice as many. An id is kept as its 64-bit hash under this process's secret seed, so nobody can
choose two that meet; by chance two of them meet once in 10^14 requests.
"""

import zlib
from array import array
from enum import Enum, auto

from headrace.schemas.names import RequestId, Tenant

GENERATION = 65_536
FEW = 4_096
"""Enough where a repetition comes within seconds."""
_FIRST_SLOTS = 256
_WORD = (1 << 64) - 1


class Sight(Enum):
    """What is known of a request that was just read."""

    NEW = auto()
    SAME = auto()
    OTHER_BODY = auto()


class _Table:
    """Keys with a checksum each; grows with its content."""

    def __init__(self) -> None:
        self.count = 0
        self.keys = array("Q", bytes(8 * _FIRST_SLOTS))
        self.sums = array("I", bytes(4 * _FIRST_SLOTS))

    def slot(self, key: int) -> int:
        """Where `key` stands, or the free slot where it would."""
        keys = self.keys
        mask = len(keys) - 1
        at = key & mask
        while keys[at] and keys[at] != key:
            at = (at + 1) & mask
        return at

    def fill(self, at: int, key: int, checksum: int) -> None:
        """Put a key into its free slot."""
        self.keys[at], self.sums[at] = key, checksum
        self.count += 1
        if 2 * self.count > len(self.keys):
            self._grow()

    def _grow(self) -> None:
        keys, sums = self.keys, self.sums
        self.keys = array("Q", bytes(16 * len(keys)))
        self.sums = array("I", bytes(8 * len(sums)))
        for key, checksum in zip(keys, sums, strict=True):
            if key:
                at = self.slot(key)
                self.keys[at], self.sums[at] = key, checksum


class Seen:
    """The requests that were read from one partition."""

    def __init__(self, generation: int = GENERATION) -> None:
        self._generation = generation
        self._young = _Table()
        self._old = _Table()

    def look(self, tenant: Tenant, request_id: RequestId, replays: int, body: bytes) -> Sight:
        """What is known of this request; it is known from now on. A replay is another request."""
        key = (hash((tenant, request_id, replays)) & _WORD) or 1
        checksum = zlib.crc32(body)
        young, old = self._young, self._old
        at = young.slot(key)
        if young.keys[at]:
            return Sight.SAME if young.sums[at] == checksum else Sight.OTHER_BODY
        if old.count and old.keys[before := old.slot(key)]:
            return Sight.SAME if old.sums[before] == checksum else Sight.OTHER_BODY
        young.fill(at, key, checksum)
        if young.count >= self._generation:
            self._old, self._young = young, _Table()
        return Sight.NEW
