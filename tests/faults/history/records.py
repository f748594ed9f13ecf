"""What a dump consists of: records of topics, and commits of groups. Each is one JSON array a line."""

import hashlib

import msgspec

from headrace.schemas.headers import H

MARKS = ("headrace.chain", "headrace.replayed")


class Record(msgspec.Struct, frozen=True, array_like=True):
    """One Kafka record; `timestamp` is the broker's append time in epoch ms."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...] = ()

    @property
    def place(self) -> str:
        """`topic-partition@offset`, for evidence."""
        return f"{self.topic}-{self.partition}@{self.offset}"


class Commit(msgspec.Struct, frozen=True, array_like=True):
    """A group's committed offset: everything below `position` is done. `at` is the coordinator's time."""

    group: str
    topic: str
    partition: int
    position: int
    at: int
    order: int = 0
    """Place in the group's log of commits."""


def log_order(record: Record) -> tuple[int, str, int, int]:
    """By append time; within a partition offsets go first, times can only be equal there."""
    return (record.timestamp, record.topic, record.partition, record.offset)


def headers_of(record: Record) -> dict[str, bytes]:
    """Headers by name; null ones left out."""
    return {name: value for name, value in record.headers if value is not None}


def is_mark(record: Record) -> bool:
    """Whether a record of a delay or dead-letter topic is no request, but says something of one."""
    told = headers_of(record).get(H.TYPE, b"").decode()
    return told in MARKS


def request_id(record: Record) -> str:
    """The id a record carries; without one its place, or, of a copy, the place it came from."""
    known = headers_of(record)
    told = known.get(H.ID)
    if told:
        return told.decode()
    if H.SOURCE_TOPIC in known:
        parts = (known[H.SOURCE_TOPIC], known[H.SOURCE_PARTITION], known[H.SOURCE_OFFSET])
        return "-".join(part.decode() for part in parts)
    return f"{record.topic}-{record.partition}-{record.offset}"


def digest(value: bytes | None) -> str:
    """SHA-256 in hex."""
    return hashlib.sha256(value or b"").hexdigest()
