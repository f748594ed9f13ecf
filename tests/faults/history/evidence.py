"""All that a run has left behind, arranged once for every check: by request id, by partition, by time."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import msgspec

from faults.history.events import (
    Accepted,
    Began,
    Event,
    Fail,
    Fault,
    Healed,
    Invoke,
    Ok,
    Unknown,
)
from faults.history.folder import Run
from faults.history.records import Commit, Record
from headrace.cli.mock.log import LoggedCall
from headrace.schemas import status
from headrace.schemas.headers import H
from headrace.schemas.replies import Reply, decode

ANSWERS = ("replies", "results")
SETTLE_MS = 1_000
"""A call that ended so long before a crash may not have been recorded as done yet."""
NOTICE_MS = 2_000
"""How long an upstream may take to notice that a killed process's connections are gone."""
MARKS = ("headrace.chain", "headrace.replayed")
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


def gather(
    run: Run,
    events: Iterable[Event],
    calls: Iterable[LoggedCall],
    records: Iterable[Record],
    commits: Iterable[Commit],
) -> Evidence:
    """Arrange it. Raises `MalformedRecord` where a reply cannot be read."""
    evidence = Evidence(run, commits=list(commits))
    _read_events(evidence, events)
    _read_calls(evidence, calls)
    reader = _Records(run.prefix)
    for record in records:
        reader.take(record)
    reader.give(evidence)
    return evidence


def _read_events(evidence: Evidence, events: Iterable[Event]) -> None:
    open_faults: dict[int, Fault] = {}
    last = 0
    for event in events:
        last = event.at
        match event:
            case Invoke():
                evidence.asked[event.number] = Asked(event)
            case Accepted():
                evidence.asked[event.number].accepted = event
            case Began():
                pass
            case Ok() | Fail() | Unknown():
                evidence.asked[event.number].outcome = event
            case Fault():
                open_faults[event.number] = event
            case Healed():
                fault = open_faults.pop(event.number)
                evidence.faults.append(Span(fault.what, fault.who, fault.at, event.at))
    evidence.faults += [Span(one.what, one.who, one.at, last) for one in open_faults.values()]


def _read_calls(evidence: Evidence, calls: Iterable[LoggedCall]) -> None:
    by_id: defaultdict[str, list[LoggedCall]] = defaultdict(list)
    for call in calls:
        by_id[call.received.request_id].append(call)
    evidence.calls = dict(by_id)


class _Records:
    """One pass over the dump."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self.requests: defaultdict[str, list[Record]] = defaultdict(list)
        self.bodies: defaultdict[str, list[str]] = defaultdict(list)
        self.delays: defaultdict[str, list[Record]] = defaultdict(list)
        self.letters: defaultdict[str, list[Record]] = defaultdict(list)
        self.finals: defaultdict[str, list[Final]] = defaultdict(list)
        self.chunks: defaultdict[str, list[Chunk]] = defaultdict(list)
        self.terminals: defaultdict[str, list[Terminal]] = defaultdict(list)
        self.journals: defaultdict[tuple[str, int], list[Record]] = defaultdict(list)

    def take(self, record: Record) -> None:
        name = record.topic.removeprefix(self._prefix)
        kind = name.partition(".")[0]
        if is_mark(record):
            return
        if kind == "requests":
            self._take_request(record)
        elif kind == "delay":
            self.delays[request_id(record)].append(record)
        elif kind == "dead-letters":
            self.letters[request_id(record)].append(record)
        elif kind in ANSWERS or kind == "own":
            self._take_reply(record)
        elif kind == "journal":
            self.journals[(name.removeprefix("journal."), record.partition)].append(record)
        elif kind == "status":
            self._take_status(record)

    def give(self, evidence: Evidence) -> None:
        """Into the index, ordered by time across partitions."""
        for found in (self.requests, self.delays, self.letters):
            for records in found.values():
                records.sort(key=log_order)
        for placed in (self.finals, self.chunks, self.terminals):
            for one in placed.values():
                one.sort(key=lambda each: log_order(each.place))
        evidence.requests, evidence.bodies = dict(self.requests), dict(self.bodies)
        evidence.delays, evidence.letters = dict(self.delays), dict(self.letters)
        evidence.finals, evidence.chunks = dict(self.finals), dict(self.chunks)
        evidence.terminals, evidence.journals = dict(self.terminals), dict(self.journals)

    def _take_request(self, record: Record) -> None:
        own_id = request_id(record)
        self.requests[own_id].append(record)
        self.bodies[digest(record.value)].append(own_id)

    def _take_reply(self, record: Record) -> None:
        reply = decode(record.value, record.headers)  # type: ignore[arg-type]  # replies have no null
        source = Source(reply.attempt, reply.source.decode())
        if not reply.final:
            self.chunks[reply.id].append(Chunk(record, source, reply.seq, reply.body))
            return
        if reply.part[0] > 1:
            mine = [one for one in self.finals[reply.id] if one.source == source]
            if mine:
                mine[-1].reply.body += reply.body
            return
        self.finals[reply.id].append(Final(record, reply, source))

    def _take_status(self, record: Record) -> None:
        row = status.decode(record.value or b"")
        if isinstance(row, status.Terminal):
            self.terminals[row.id].append(Terminal(record, row))


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
