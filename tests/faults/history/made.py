"""Histories made by hand: each call adds one thing that happened, `evidence` is what a check sees.

Times are small numbers; request `r1` of `ann` is asked for at 1000 unless a test says otherwise.
"""

import hashlib
from typing import Self

from faults.history.events import (
    Accepted,
    End,
    Event,
    Fail,
    Fault,
    Healed,
    Invoke,
    Ok,
    Seen,
    Unknown,
    Way,
)
from faults.history.evidence import Evidence, gather
from faults.history.folder import Run
from faults.history.records import Commit, Record
from headrace.cli.mock.log import Finished, LoggedCall, Received
from headrace.cli.mock.log import Outcome as CallOutcome
from headrace.schemas import journal, records, replies, retries, status
from headrace.schemas.names import DeploymentName, Kind, LaneName, Outcome, RequestId, Tenant

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


class Made:
    """A history in the making."""

    def __init__(self, **run: object) -> None:
        self._run = Run(prefix=PREFIX, **run)  # type: ignore[arg-type]  # a test names what it changes
        self._events: list[Event] = []
        self._calls: list[LoggedCall] = []
        self._records: list[Record] = []
        self._commits: list[Commit] = []
        self._offsets: dict[tuple[str, int], int] = {}
        self._numbers: dict[str, int] = {}

    def evidence(self) -> Evidence:
        """What has happened so far."""
        return gather(self._run, self._events, self._calls, self._records, self._commits)

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

    def ask(
        self,
        request_id: str = "r1",
        at: int = 1000,
        *,
        way: Way = Way.SYNC,
        tenant: str = "ann",
        key: str = "",
        body: bytes | None = None,
        owner: str = "",
        enqueued: bool = True,
        not_before: int = 0,
        kind: Kind | None = None,
    ) -> Self:
        """A client asks; its record is in the lane 1 ms later. `owner`: whose the record says it is."""
        number = len(self._events) + 1
        self._numbers[request_id] = number
        value = body or body_of(request_id)
        self._events.append(
            Invoke(
                number=number,
                at=at,
                way=way,
                tenant=tenant,
                model="small",
                body=digest(value),
                key=key,
                not_before=not_before,
            )
        )
        if enqueued:
            wanted = records.RequestRecord(
                id=RequestId(request_id),
                body=value,
                tenant=Tenant(owner or tenant),
                lane=LaneName("standard"),
                deadline_ms=at + 60_000,
                kind=kind,
            )
            self.record(LANE, at + 1, value, records.encode(wanted, b"i-1"), b"key")
        return self

    def accepted(self, request_id: str = "r1", at: int = 1005) -> Self:
        """It was told that the request is safe."""
        self._events.append(Accepted(number=self._numbers[request_id], at=at, id=request_id))
        return self

    def told(
        self,
        request_id: str = "r1",
        at: int = 1200,
        *,
        answer: bytes | None = None,
        seen: Seen | None = None,
        code: str = "",
        why: str = "",
    ) -> Self:
        """Its client has its answer; an error with `code`, none with `why`."""
        number = self._numbers[request_id]
        value = answer_of(request_id) if answer is None else answer
        whole = seen or Seen(
            status=500 if code else 200,
            id=request_id,
            code=code,
            end=End.WHOLE,
            sha256=digest(value),
            size=len(value),
            marks=(value[7:-2].decode(),) if value.startswith(b'{"id":"') else (),
        )
        if why:
            self._events.append(Unknown(number=number, at=at, why=why, seen=whole))
        elif whole.code:
            self._events.append(Fail(number=number, at=at, seen=whole))
        else:
            self._events.append(Ok(number=number, at=at, seen=whole))
        return self

    def called(
        self,
        request_id: str = "r1",
        at: int = 1100,
        until: int = 1150,
        *,
        status: int = 200,
        cut: bool = False,
        model: str = "small",
        key: str = "",
        body: bytes | None = None,
    ) -> Self:
        """The upstream was called; `cut`: its client went away at `until`."""
        seq = len(self._calls) + 1
        received = Received(
            seq=seq,
            received_at=at,
            path="/v1/chat/completions",
            body_sha256=digest(body or body_of(request_id)),
            attempt=1,
            idempotency_key=key,
            model=model,
            request_id=request_id,
        )
        how = CallOutcome.CLIENT_DISCONNECTED if cut else CallOutcome.ANSWERED
        self._calls.append(LoggedCall(received, Finished(seq, until, how, 0 if cut else status)))
        return self

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

    def noted(self, offset: int, how: str, at: int = 1400) -> Self:
        """The journal of the lane says how an offset ended."""
        entry = journal.Work(journal.SessionId("d-1.1"), done=[(offset, how)])
        self.record(f"{PREFIX}journal.standard", at, journal.encode(entry), [])
        return self

    def struck(self, what: str, who: str, at: int, until: int) -> Self:
        """A fault."""
        number = 1_000 + len(self._events)
        self._events.append(Fault(number=number, at=at, what=what, who=who))
        self._events.append(Healed(number=number, at=until))
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
