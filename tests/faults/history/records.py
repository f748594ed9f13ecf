"""What a dump consists of: records of topics, and commits of groups. Each is one JSON array a line."""

import msgspec


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
