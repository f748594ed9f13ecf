"""Arranges what a run has left behind: one pass over each source."""

from collections import defaultdict
from collections.abc import Iterable

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
from faults.history.evidence import Asked, Chunk, Evidence, Final, Source, Span, Terminal
from faults.history.folder import Run
from faults.history.records import Commit, Record, digest, is_mark, log_order, request_id
from headrace.cli.mock.log import LoggedCall
from headrace.schemas import status
from headrace.schemas.replies import decode

ANSWERS = ("replies", "results")


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
