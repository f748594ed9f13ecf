"""Finals and chunks of the reply topic, put together by request."""

from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from headrace.cli.demo.evidence import Record
from headrace.schemas.headers import H
from headrace.schemas.names import Outcome
from headrace.schemas.replies import Reply, decode


class Run(NamedTuple):
    """Which run of a request a record is of: a crash can use an attempt's number twice."""

    attempt: int
    process: str
    """`ce_source`: the dispatcher that wrote it."""


class Chunk(msgspec.Struct, frozen=True):
    """One chunk of a stream."""

    run: Run
    seq: int
    body: bytes


class Final(msgspec.Struct):
    """One final answer, its parts joined; `timestamp` is when its first part was appended."""

    run: Run
    reply: Reply
    timestamp: int
    body: bytes

    @property
    def outcome(self) -> Outcome | None:
        """The terminal state that it tells."""
        return self.reply.outcome


def finals_by_id(replies: Iterable[Record]) -> dict[str, list[Final]]:
    """Every final of each request id, the first first. Raises `MalformedRecord`."""
    finals: defaultdict[str, list[Final]] = defaultdict(list)
    for record in _in_order(replies):
        reply = decode(record.value, record.headers)
        if not reply.final:
            continue
        mine = finals[reply.id]
        if reply.part[0] == 1:
            mine.append(Final(_run(record, reply), reply, record.timestamp, reply.body))
            continue
        begun = [final for final in mine if final.run == _run(record, reply)]
        if begun:
            begun[-1].body += reply.body
    return dict(finals)


def chunks_by_id(replies: Iterable[Record]) -> dict[str, list[Chunk]]:
    """Every chunk of each request id, as they were appended. Raises `MalformedRecord`."""
    chunks: defaultdict[str, list[Chunk]] = defaultdict(list)
    for record in _in_order(replies):
        reply = decode(record.value, record.headers)
        if not reply.final:
            chunks[reply.id].append(Chunk(_run(record, reply), reply.seq, reply.body))
    return dict(chunks)


def _run(record: Record, reply: Reply) -> Run:
    return Run(reply.attempt, record.header(H.SOURCE))


def _in_order(replies: Iterable[Record]) -> list[Record]:
    """By append time; within a partition offsets go first, times can only be equal there."""
    return sorted(replies, key=lambda record: (record.timestamp, record.partition, record.offset))
