"""Journal records: who did what to which offset of a lane or delay partition (P3, P13).

A journal topic mirrors its source topic partition by partition. One JSON array a record:

    CLAIM    a session takes the partition over; the record's own offset is its epoch
    WORK     offsets started (with the attempt number) and offsets done (with how), batched
    SNAP     everything a successor needs, so that it reads nothing older
    RELEASE  the session is finished with the partition: nothing of it is in flight

After a CLAIM an older session may only finish what it had started; all else of it is ignored.
"""

from typing import NewType

import msgspec

SessionId = NewType("SessionId", str)
"""One per process and assignment; `<process>.<n>`."""
ProcessId = NewType("ProcessId", str)


class Claim(msgspec.Struct, frozen=True, array_like=True, tag="claim"):
    """`session` of `process` owns the partition from here on."""

    session: SessionId
    process: ProcessId


class Work(msgspec.Struct, frozen=True, array_like=True, tag="work"):
    """Offsets started as (offset, attempt); offsets done as (offset, how)."""

    session: SessionId
    started: list[tuple[int, int]] = []
    done: list[tuple[int, str]] = []


class InFlight(msgspec.Struct, frozen=True, array_like=True):
    """An offset whose call was started and is not known to have ended."""

    offset: int
    attempt: int
    session: SessionId


class Snap(msgspec.Struct, frozen=True, array_like=True, tag="snap"):
    """The partition as its owner knows it: offsets below `watermark` are done, and those in `done`.

    `done` has half-open ranges. Of older sessions' calls it knows what its writer had read by then, so
    their entries shortly before a SNAP still count.
    """

    session: SessionId
    watermark: int
    done: list[tuple[int, int]]
    in_flight: list[InFlight]
    lost: list[tuple[int, int]] = []
    """Offset and attempt of calls that were cut short and have not run again yet."""
    followed: int = 0
    """Journal offset up to which its writer had read when it made this; exclusive."""


class Release(msgspec.Struct, frozen=True, array_like=True, tag="release"):
    """`session` has nothing in flight and will write no more."""

    session: SessionId


class Beat(msgspec.Struct, frozen=True, array_like=True, tag="beat"):
    """On `fleet`, once a second: the process lives. `sent_ms` is its own monotonic clock."""

    process: ProcessId
    sent_ms: int


Entry = Claim | Work | Snap | Release

LOST = "lost"
"""The `how` of an offset whose call was cut short by its own process: not done, to be run again."""


SNAP = b'["snap"'
"""How an encoded SNAP begins."""


def process_of(session: SessionId) -> ProcessId:
    """The process that a session belongs to."""
    return ProcessId(session.rpartition(".")[0])


_entry = msgspec.json.Decoder(Entry)
_beat = msgspec.json.Decoder(Beat)
_encode = msgspec.json.Encoder().encode


def encode(entry: Entry | Beat) -> bytes:
    """The value of a journal or fleet record."""
    return _encode(entry)


def decode(value: bytes) -> Entry:
    """Read a journal record. Raises `msgspec.MsgspecError`."""
    entry: Entry = _entry.decode(value)
    return entry


def decode_beat(value: bytes) -> Beat:
    """Read a fleet record. Raises `msgspec.MsgspecError`."""
    return _beat.decode(value)
