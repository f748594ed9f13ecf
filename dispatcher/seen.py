"""Which requests of a partition were read already, in little memory. No I/O.

Two generations of open-addressed tables, 12 bytes a slot: at least the last `GENERATION` ids are known,
at most twice as many. An id is kept as its 64-bit hash under this process's secret seed, so nobody can
choose two that meet; by chance two of them meet once in 10^14 requests.
"""

import zlib
from array import array
from enum import Enum, auto

from headrace.schemas.names import RequestId, Tenant

GENERATION = 65_536
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
        self._keys = array("Q", bytes(8 * _FIRST_SLOTS))
        self._sums = array("I", bytes(4 * _FIRST_SLOTS))

    def slot(self, key: int) -> int:
        """Where `key` stands, or the free slot where it would."""
        keys = self._keys
        mask = len(keys) - 1
        at = key & mask
        while keys[at] and keys[at] != key:
            at = (at + 1) & mask
        return at

    def find(self, key: int) -> int | None:
        """The checksum that came with `key`, if it was put."""
        at = self.slot(key)
        return self._sums[at] if self._keys[at] else None

    def put(self, key: int, checksum: int) -> None:
        """Add a key that is not there."""
        if 2 * (self.count + 1) > len(self._keys):
            self._grow()
        at = self.slot(key)
        self._keys[at], self._sums[at] = key, checksum
        self.count += 1

    def _grow(self) -> None:
        keys, sums = self._keys, self._sums
        self._keys = array("Q", bytes(16 * len(keys)))
        self._sums = array("I", bytes(8 * len(sums)))
        for key, checksum in zip(keys, sums, strict=True):
            if key:
                at = self.slot(key)
                self._keys[at], self._sums[at] = key, checksum


class Seen:
    """The requests that were read from one partition."""

    def __init__(self) -> None:
        self._young = _Table()
        self._old = _Table()

    def look(self, tenant: Tenant, request_id: RequestId, replays: int, body: bytes) -> Sight:
        """What is known of this request; it is known from now on. A replay is another request."""
        key = (hash((tenant, request_id, replays)) & _WORD) or 1
        checksum = zlib.crc32(body)
        known = self._young.find(key)
        if known is None:
            known = self._old.find(key)
        if known is not None:
            return Sight.SAME if known == checksum else Sight.OTHER_BODY
        if self._young.count >= GENERATION:
            self._old, self._young = self._young, _Table()
        self._young.put(key, checksum)
        return Sight.NEW
