"""Journal records: who did what to which offset of a lane or delay partition (P3, P13).

A journal topic mirrors its source topic partition by partition. One JSON array a record:

    CLAIM    a session takes the partition over; the record's own offset is its epoch
    WORK     offsets started (with their progress) and offsets done (with how), batched
    BURY     the owner waits no longer for offsets of dead processes: it runs them itself
    SNAP     everything a successor needs, so that it reads nothing older
    RELEASE  the session is finished with the partition: nothing of it is in flight

After a CLAIM an older session may only finish what it had started; all else of it is ignored. After a
BURY it may not even do that.

*Progress* tells how far a request has come in one number: n > 0, its call number n was begun and is not
known to have ended; n <= 0, -n calls of it have ended and none runs.
"""

from collections.abc import Sequence
from typing import NewType

import msgspec

from headrace.schemas.values import read_value

SessionId = NewType("SessionId", str)
"""One per process and assignment; `<process>.<n>`."""
ProcessId = NewType("ProcessId", str)


class Claim(msgspec.Struct, frozen=True, array_like=True, tag="claim"):
    """`session` of `process` owns the partition from here on."""

    session: SessionId
    process: ProcessId


class Mark(msgspec.Struct, frozen=True, array_like=True):
    """Stands at `offset` of a delay partition: of what was handed on from `place`, only what `session`
    wrote counts behind it. An empty session: the request has ended, nothing counts any more.
    """

    place: str
    """`<topic>-<partition>-<offset>`."""
    offset: int
    session: str
    epoch: int
    """Journal offset of the session's CLAIM: the mark of an owner that was replaced overrides none."""
    until_ms: int
    """Nothing can be handed on from `place` after this time (epoch ms, broker's clock)."""


class Work(msgspec.Struct, frozen=True, array_like=True, tag="work"):
    """Offsets started as (offset, progress); offsets done as (offset, how)."""

    session: SessionId
    started: list[tuple[int, int]] = []
    done: list[tuple[int, str]] = []
    trials: list[tuple[int, bool]] = []
    """Offsets whose trial begins (True) or is over: the only suspects of a crash at that time."""
    marks: list[Mark] = []
    """Marks that were met in a delay partition."""
    read_to: int = 0
    """How far its writer had read, exclusive: what a later owner must take for possibly deadly."""


class Bury(msgspec.Struct, frozen=True, array_like=True, tag="bury"):
    """Offsets in flight at dead processes: their end is not waited for any more."""

    session: SessionId
    offsets: list[int]


class InFlight(msgspec.Struct, frozen=True, array_like=True):
    """An offset that its session began and is not known to have brought to an end."""

    offset: int
    attempt: int
    """Its progress, see above."""
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
    """Offset and progress of calls that were cut short and have not run again yet."""
    followed: int = 0
    """Journal offset up to which its writer had read when it made this; exclusive."""
    handed_over: bool = False
    """Its writer has stopped reading: this is the last entry of an orderly owner."""
    passed: tuple[int, int] | None = None
    """Offset and timestamp (epoch ms) of the last record below the watermark: another one there means
    that the topic was created anew."""
    crashes: list[tuple[int, int]] = []
    """Offset and how many processes died with it in hand; `CONVICTED` if one did on its trial."""
    trials: list[int] = []
    """Offsets that are on trial."""
    marks: list[Mark] = []
    read_to: int = 0
    marks_before: bool = False
    """Whether marks that were told before this, from `followed` on, count too: they were too many for it."""


class Release(msgspec.Struct, frozen=True, array_like=True, tag="release"):
    """`session` has nothing in flight and will write no more."""

    session: SessionId


class Beat(msgspec.Struct, frozen=True, array_like=True, tag="beat"):
    """On `fleet`, once a second: the process lives. `sent_ms` is its own monotonic clock."""

    process: ProcessId
    sent_ms: int


Entry = Claim | Work | Bury | Snap | Release

CONVICTED = 1_000
"""In place of a number of crashes: the record kills whoever takes it, and is not taken again."""

LOST = "lost"
"""The `how` of an offset whose call was cut short by its own process: not done, to be run again."""


WORK = b'["work"'
"""How an encoded WORK begins."""


def place_of(topic: str, partition: int, offset: int) -> str:
    """A record's place, as marks and hand-overs name it."""
    return f"{topic}-{partition}-{offset}"


def counts(marks: Sequence[Mark], session: str, offset: int) -> bool:
    """Whether what `session` handed on in the delay record at `offset` counts, by the marks of its place.

    Of the marks before it the one of the newest owner decides.
    """
    before = [mark for mark in marks if mark.offset < offset]
    return not before or max(before, key=lambda mark: mark.epoch).session == session


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
    entry: Entry = read_value(_entry, value)
    return entry


def decode_beat(value: bytes) -> Beat:
    """Read a fleet record. Raises `msgspec.MsgspecError`."""
    return read_value(_beat, value)
