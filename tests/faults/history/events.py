"""What stands in `clients.jsonl`: one JSON object a line, appended, never changed.

    invoke     a client sends a request; its number is unique in the history
    accepted   it was told that the request is safe: 202, or Kafka's ack
    began      the first event of its stream is here
    ok         it has the whole answer
    fail       it has an answer, and that is an error
    unknown    no answer: time-out or a broken connection; the topics tell later what became of it
    fault      something is done to a process from now on
    healed     that is over: the process is seen dead, or goes on

Times are epoch milliseconds of one machine's clock; digests SHA-256 in hex.
"""

from enum import StrEnum

import msgspec


class Way(StrEnum):
    """How a request goes in, and its answer comes out."""

    SYNC = "sync"
    STREAM = "stream"
    DIRECT = "direct"
    """Straight into a lane's topic, with a reply topic of the tenant's own."""
    JOB = "job"
    KEYED = "keyed"
    """With an idempotency key: several requests of one key are one."""
    PEEK = "peek"
    """Asks for a job of another tenant, and must not get it."""


class End(StrEnum):
    """How an answer came to its end."""

    WHOLE = "whole"
    """A plain body, as long as it was said to be."""
    DONE = "done"
    """A stream with its `[DONE]`."""
    ERROR_EVENT = "error_event"
    """A stream with an error object as its last event."""
    SILENT = "silent"
    """A stream that ended cleanly with neither."""
    CUT = "cut"
    """The connection broke, or the client gave up waiting."""


class Seen(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """All that a client saw of an answer."""

    status: int = 0
    """HTTP status, 0 if none came."""
    id: str = ""
    code: str = ""
    """Of an error: the stable code."""
    end: End = End.CUT
    sha256: str = ""
    """Of a plain body; of a stream's events up to the error event, by `sse.EventDigest`."""
    size: int = 0
    """Bytes of a plain body; events of a stream, an error event not counted."""
    marks: tuple[str, ...] = ()
    """Whose answers these are: the answer's `id`, which the mock makes from the request's body,
    and the fingerprint of the attempt where it signs, each once, in the order seen."""
    attempt: int = 0
    """Of an answer on an own reply topic: the attempt it is of."""


class _Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="event"):
    number: int
    at: int


class Invoke(_Event, frozen=True, kw_only=True, omit_defaults=True, tag="invoke"):
    """A client sends a request."""

    way: Way
    tenant: str
    model: str
    lane: str = ""
    body: str = ""
    """Digest of the body, which no other request of the history has, but those with the same key."""
    key: str = ""
    id: str = ""
    """Where the client chose it (direct), or asks for it (peek)."""
    not_before: int = 0


class Accepted(_Event, frozen=True, kw_only=True, omit_defaults=True, tag="accepted"):
    """The request is safe."""

    id: str


class Began(_Event, frozen=True, kw_only=True, omit_defaults=True, tag="began"):
    """A stream's first event."""

    id: str


class Ok(_Event, frozen=True, kw_only=True, omit_defaults=True, tag="ok"):
    """The whole answer, and no error."""

    seen: Seen


class Fail(_Event, frozen=True, kw_only=True, omit_defaults=True, tag="fail"):
    """An answer that is an error."""

    seen: Seen


class Unknown(_Event, frozen=True, kw_only=True, omit_defaults=True, tag="unknown"):
    """No answer; `seen` has what came before that."""

    why: str
    seen: Seen = Seen()


class Fault(_Event, frozen=True, kw_only=True, omit_defaults=True, tag="fault"):
    """`what` is done to `who` from now on; its number is its own, not a request's."""

    what: str
    """`kill`, `freeze`, `stop` and whatever else a rig can do."""
    who: str
    """Name of the process: `dispatcher-1`, `ingress`, `kafka` ..."""


class Healed(_Event, frozen=True, kw_only=True, omit_defaults=True, tag="healed"):
    """The fault with this number is over."""


Event = Invoke | Accepted | Began | Ok | Fail | Unknown | Fault | Healed
