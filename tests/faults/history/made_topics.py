"""What of a history made by hand stands in topics; see `made`."""

import hashlib
from typing import Self

from faults.history.records import Commit, Record
from headrace.schemas import journal, records, replies, retries, status
from headrace.schemas.names import DeploymentName, Outcome, RequestId, Tenant

PREFIX = "t."
LANE = f"{PREFIX}requests.standard"
DELAY = f"{PREFIX}delay.standard.1s"
GROUP = f"{PREFIX}dispatch.standard"


def body_of(request_id: str) -> bytes:
    """A body that no other request has."""
    return b'{"model":"small","messages":"%b"}' % request_id.encode()


def digest(value: bytes) -> str:
    """SHA-256 in hex."""
    return hashlib.sha256(value).hexdigest()


def answer_of(request_id: str) -> bytes:
    """The answer that the mock would give, as far as checks look at it."""
    return b'{"id":"chatcmpl-%b"}' % digest(body_of(request_id))[:24].encode()


class MadeTopics:
    """Records and commits; each call adds one."""

    def __init__(self) -> None:
        self._records: list[Record] = []
        self._commits: list[Commit] = []
        self._offsets: dict[tuple[str, int], int] = {}

    def record(
        self,
        topic: str,
        at: int,
        value: bytes | None,
        headers: list[tuple[str, bytes]],
        key: bytes | None = None,
    ) -> Record:
        """Any record, at the end of partition 0 of its topic."""
        offset = self._offsets.get((topic, 0), 0)
        self._offsets[(topic, 0)] = offset + 1
        made = Record(topic, 0, offset, at, key, value, tuple(headers))
        self._records.append(made)
        return made

    def final(
        self,
        request_id: str = "r1",
        at: int = 1180,
        *,
        body: bytes | None = None,
        outcome: Outcome = Outcome.COMPLETED,
        status: int = 200,
        attempt: int = 1,
        attempts: int = 1,
        process: str = "d-1",
        seq: int = 1,
        topic: str = f"{PREFIX}replies",
    ) -> Self:
        """A final answer."""
        reply = replies.Reply(
            id=RequestId(request_id),
            body=answer_of(request_id) if body is None else body,
            seq=seq,
            attempt=attempt,
            final=True,
            status=status,
            outcome=outcome,
            attempts=attempts,
            upstream=DeploymentName("small"),
        )
        self.record(topic, at, reply.body, replies.encode(reply, process.encode()))
        return self

    def chunk(
        self,
        seq: int,
        body: bytes,
        request_id: str = "r1",
        at: int = 1120,
        *,
        attempt: int = 1,
        process: str = "d-1",
    ) -> Self:
        """A chunk of its stream."""
        reply = replies.Reply(id=RequestId(request_id), body=body, seq=seq, attempt=attempt)
        headers = replies.encode(reply, process.encode())
        self.record(f"{PREFIX}replies", at, body, headers)
        return self

    def delayed(self, request_id: str = "r1", at: int = 1160, *, due: int = 4160) -> Self:
        """It was handed to a delay topic."""
        first = self._first(request_id)
        headers = retries.retry_headers(
            _headers(first), _source(first), attempt=2, due_ms=due, history=()
        )
        self.record(DELAY, at, first.value, headers)
        return self

    def letter(
        self,
        request_id: str = "r1",
        at: int = 1170,
        *,
        value: bytes | None = None,
        history: tuple[records.Attempt, ...] = (),
        reason: str = "attempts_exhausted",
    ) -> Self:
        """A dead letter of it; another `value` than the request's where one is given."""
        first = self._first(request_id)
        headers = retries.dead_letter_headers(
            _headers(first), _source(first), reason=reason, history=history
        )
        self.record(f"{PREFIX}dead-letters", at, value or first.value, headers)
        return self

    def committed(self, position: int, at: int = 1500, *, topic: str = LANE) -> Self:
        """The group has committed `position` of partition 0."""
        self._commits.append(Commit(GROUP, topic, 0, position, at, len(self._commits)))
        return self

    def ended(
        self, request_id: str = "r1", at: int = 1190, *, outcome: Outcome = Outcome.COMPLETED
    ) -> Self:
        """`status` tells its end."""
        row = status.Terminal(
            tenant=Tenant("ann"), id=RequestId(request_id), outcome=outcome, status=200, attempts=1
        )
        self.record(f"{PREFIX}status", at, status.encode(row), [])
        return self

    def noted(self, offset: int, how: str, at: int = 1400) -> Self:
        """The journal of the lane says how an offset ended."""
        entry = journal.Work(journal.SessionId("d-1.1"), done=[(offset, how)])
        self.record(f"{PREFIX}journal.standard", at, journal.encode(entry), [])
        return self

    def _first(self, request_id: str) -> Record:
        return next(
            one
            for one in self._records
            if one.topic == LANE and ("ce_id", request_id.encode()) in one.headers
        )


def _headers(record: Record) -> list[tuple[str, bytes]]:
    return [(name, value) for name, value in record.headers if value is not None]


def _source(record: Record) -> retries.Source:
    return retries.Source(
        record.topic, record.partition, record.offset, record.key, record.timestamp
    )
