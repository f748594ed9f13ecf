"""What a check is made of: what clients saw, what the upstream logged, what the topics hold.

Times are epoch milliseconds. All of it is frozen and can be written to files and read again.
"""

import msgspec

from headrace.cli.mock.log import LoggedCall, Outcome

SETTLE_MS = 500
"""A call that ended so long before a kill may not have been recorded as done yet."""
NOTICE_MS = 2_000
"""How long an upstream may take to notice that a killed process's connections are gone."""


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """One request as its client lived it. Nothing here comes from Headrace but `request_id`."""

    number: int
    """Line of the prompt, from 1."""
    lane: str
    model: str
    stream: bool
    client: str
    """`sync` or `async`."""
    sent_at: int
    ended_at: int = 0
    """0: it has not ended."""
    body_sha256: str = ""
    """Of the body as the client put it on the wire."""
    status: int = 0
    """HTTP status, 0 if none came."""
    request_id: str = ""
    """The answer's `x-request-id`."""
    answer_sha256: str = ""
    """`answers.plain_digest` of an answer's bytes, `answers.EventDigest` of a stream's events."""
    error: str = ""
    """Why there is no whole answer: the client's exception; empty where there is one."""

    @property
    def name(self) -> str:
        """The request id, or the number where no answer told one."""
        return self.request_id or f"#{self.number}"


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """One Kafka record."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]

    def header(self, name: str) -> str:
        """The header as text, empty if it is not there."""
        return dict(self.headers).get(name, b"").decode()


class Dump(msgspec.Struct, frozen=True):
    """The topics after the run, each partition in its order."""

    requests: tuple[Record, ...] = ()
    replies: tuple[Record, ...] = ()
    dead_letters: tuple[Record, ...] = ()


class Kill(msgspec.Struct, frozen=True):
    """When a dispatcher got its SIGKILL: just before the signal, and once it was seen dead."""

    before: int
    after: int


class Limited(msgspec.Struct, frozen=True, kw_only=True):
    """Requests under a limit by the minute, as clients and upstream saw them."""

    limit: int
    most: int
    """Calls that the upstream received within any 60 s, at most."""
    refused: int
    """Calls that it refused with 429."""
    asked: int
    answered: int
    late: int
    """Requests that were told that their time does not do."""


class Tripped(msgspec.Struct, frozen=True, kw_only=True):
    """Requests to an upstream that fails at first, as clients, upstream and breaker saw them."""

    failed: int
    """Calls that the upstream answered with 500."""
    opened: int
    closed: int
    opened_after_ms: int
    """From the first failed call."""
    closed_after_ms: int
    """From the first opening to the last closing."""
    asked: int
    answered: int


class Evidence(msgspec.Struct, frozen=True):
    """Everything that a check looks at."""

    history: tuple[Asked, ...]
    calls: tuple[LoggedCall, ...]
    """The upstream's own log, in order of receipt."""
    dump: Dump
    kill: Kill | None = None
    limited: Limited | None = None
    """Of requests that stand nowhere else in here."""
    tripped: Tripped | None = None
    """The same."""


def was_cut(call: LoggedCall, kill: Kill | None) -> bool:
    """Whether the kill ended the call: the upstream lost its client just then."""
    end = call.finished
    return (
        kill is not None
        and end is not None
        and end.outcome is Outcome.CLIENT_DISCONNECTED
        and kill.before <= end.finished_at <= kill.after + NOTICE_MS
    )


def was_held(call: LoggedCall, kill: Kill | None) -> bool:
    """Whether a killed process may have held the call: cut, or over but not yet recorded so."""
    end = call.finished
    return was_cut(call, kill) or (
        kill is not None
        and end is not None
        and kill.before - SETTLE_MS <= end.finished_at <= kill.after
    )


def is_whole(call: LoggedCall) -> bool:
    """Whether the upstream gave its whole answer, and it was a success."""
    end = call.finished
    return end is not None and end.outcome is Outcome.ANSWERED and end.status == 200
