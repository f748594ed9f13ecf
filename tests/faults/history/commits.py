"""Commits of consumer groups as the broker keeps them on `__consumer_offsets`: every one, with its time.

Kafka's own record format (`OffsetCommitKey.json` and `OffsetCommitValue.json` in its sources): big
endian, strings with a length before them; the position stands at the same place in all versions. No I/O.
"""

import struct
from typing import NamedTuple

OFFSET_KEYS = (0, 1)
"""Key versions of offset commits; others are of groups and members."""


class Committed(NamedTuple):
    """One commit."""

    group: str
    topic: str
    partition: int
    position: int


def read_commit(key: bytes | None, value: bytes | None) -> Committed | None:
    """A record of `__consumer_offsets`; None where it is no commit, or forgets one.

    Raises `struct.error` or `UnicodeDecodeError` where it is of no known form.
    """
    if key is None or value is None:
        return None
    (kind,) = struct.unpack_from(">h", key)
    if kind not in OFFSET_KEYS:
        return None
    group, at = _text(key, 2)
    topic, at = _text(key, at)
    (partition,) = struct.unpack_from(">i", key, at)
    (position,) = struct.unpack_from(">q", value, 2)  # after the version: the same in all of them
    return Committed(group, topic, partition, position)


def _text(raw: bytes, at: int) -> tuple[str, int]:
    (length,) = struct.unpack_from(">h", raw, at)
    end = at + 2 + length
    return raw[at + 2 : end].decode(), end
