"""All that a run has left behind, arranged once for every check: by request id, by partition, by time."""

from collections import defaultdict
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import msgspec

from faults.history.events import (
    Accepted,
    Fail,
    Invoke,
    Ok,
    Unknown,
)
from faults.history.folder import Run
from faults.history.records import Commit, Record
from headrace.cli.mock.log import LoggedCall
from headrace.schemas import status
from headrace.schemas.replies import Reply

SETTLE_MS = 1_000
"""A call that ended so long before a crash may not have been recorded as done yet."""
NOTICE_MS = 2_000
"""How long an upstream may take to notice that a killed process's connections are gone."""
CRASHES = ("kill", "freeze", "abort")


class Source(NamedTuple):
    """Which run of a request a reply is of: a crash can use an attempt's number twice."""

    attempt: int
    process: str


class Asked(msgspec.Struct):
    """One request as its client lived it."""

    invoke: Invoke
    accepted: Accepted | None = None
    outcome: Ok | Fail | Unknown | None = None

    @property
    def id(self) -> str:
        """As the client knows it; empty where nobody told it one."""
        if self.outcome is not None and self.outcome.seen.id:
            return self.outcome.seen.id
        return self.accepted.id if self.accepted else self.invoke.id

    @property
    def name(self) -> str:
        """For violations."""
        return self.id or f"#{self.invoke.number}"


class Final(msgspec.Struct):
    """A final answer, its parts joined."""

    place: Record
    """Its first part."""
    reply: Reply
    source: Source


class Chunk(msgspec.Struct, frozen=True):
    """One chunk of a stream."""

    place: Record
    source: Source
    seq: int
    body: bytes


class Terminal(msgspec.Struct, frozen=True):
    """A terminal row on `status`."""

    place: Record
    row: status.Terminal


class Span(NamedTuple):
    """A fault from its beginning to its end."""

    what: str
    who: str
    at: int
    until: int


@dataclass
class Evidence:
    """The index. Lists are in log order; across partitions by append time."""

    run: Run
    asked: dict[int, Asked] = field(default_factory=dict)
    faults: list[Span] = field(default_factory=list)
    calls: dict[str, list[LoggedCall]] = field(default_factory=dict)
    requests: dict[str, list[Record]] = field(default_factory=dict)
    """Records of the lanes by id."""
    bodies: dict[str, list[str]] = field(default_factory=dict)
    """Ids by the body's digest."""
    delays: dict[str, list[Record]] = field(default_factory=dict)
    letters: dict[str, list[Record]] = field(default_factory=dict)
    finals: dict[str, list[Final]] = field(default_factory=dict)
    chunks: dict[str, list[Chunk]] = field(default_factory=dict)
    terminals: dict[str, list[Terminal]] = field(default_factory=dict)
    journals: dict[tuple[str, int], list[Record]] = field(default_factory=dict)
    commits: list[Commit] = field(default_factory=list)

    @cached_property
    def crashes(self) -> list[Span]:
        """Faults in which a dispatcher may have lost what it held."""
        return [
            span
            for span in self.faults
            if span.what in CRASHES and span.who.startswith("dispatcher")
        ]

    def of_id(self) -> dict[str, list[Asked]]:
        """What clients asked, by request id, those included whose client was never told the id."""
        by_id: defaultdict[str, list[Asked]] = defaultdict(list)
        for asked in self.asked.values():
            for request_id in [asked.id] if asked.id else self.bodies.get(asked.invoke.body, ()):
                by_id[request_id].append(asked)
        return dict(by_id)

    def exposed(self, since: int, until: int) -> bool:
        """Whether a crash between the two times may have taken what only a process knew."""
        return any(crash.until >= since and crash.at <= until for crash in self.crashes)

    def held(self, call: LoggedCall) -> int:
        """In how many crashes a dispatcher may have held the call: running, or over but not recorded so."""
        end = call.finished
        return sum(
            call.received.received_at <= crash.until
            and (end is None or end.finished_at >= crash.at - SETTLE_MS)
            for crash in self.crashes
        )
