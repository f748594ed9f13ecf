"""Histories made by hand: each call adds one thing that happened, `evidence` is what a check sees.

Times are small numbers; request `r1` of `ann` is asked for at 1000 unless a test says otherwise.
"""

from typing import Self

from faults.history.arrange import gather
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
from faults.history.evidence import Evidence
from faults.history.folder import Run
from faults.history.made_topics import LANE, PREFIX, MadeTopics, answer_of, body_of, digest
from headrace.cli.mock.log import Finished, LoggedCall, Received
from headrace.cli.mock.log import Outcome as CallOutcome
from headrace.schemas import records
from headrace.schemas.names import Kind, LaneName, RequestId, Tenant


class Made(MadeTopics):
    """A history in the making."""

    def __init__(self, **run: object) -> None:
        super().__init__()
        self._run = Run(prefix=PREFIX, **run)  # type: ignore[arg-type]  # a test names what it changes
        self._events: list[Event] = []
        self._calls: list[LoggedCall] = []
        self._numbers: dict[str, int] = {}

    def evidence(self) -> Evidence:
        """What has happened so far."""
        return gather(self._run, self._events, self._calls, self._records, self._commits)

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

    def struck(self, what: str, who: str, at: int, until: int) -> Self:
        """A fault."""
        number = 1_000 + len(self._events)
        self._events.append(Fault(number=number, at=at, what=what, who=who))
        self._events.append(Healed(number=number, at=until))
        return self
