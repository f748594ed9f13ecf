"""`/v1/jobs/{id}` and below: look, wait, follow, cancel. A plain ASGI callable, for any request with a kind.

The caller is authenticated as on every route, and only ever asks for rows of its own tenant: another
tenant's id is as unknown as one that never was (P8).
"""

import asyncio
import contextlib
import re
from collections.abc import Callable
from urllib.parse import parse_qs, unquote

from headrace.ingress import admission, answer
from headrace.ingress.answer import Answer
from headrace.ingress.asgi import Receive, Scope, Send, send_answer, send_part
from headrace.ingress.connection import STATE, Listener
from headrace.ingress.index import REBUILDING, NotCaughtUp, Row
from headrace.ingress.jobs import ending, view
from headrace.ingress.jobs.events import Cursor, EventStream, read_cursor
from headrace.ingress.jobs.interest import Interest
from headrace.ingress.jobs.ledger import Ledger
from headrace.ingress.jobs.tail import Sources, Tail, until
from headrace.ingress.metrics import Metrics
from headrace.ingress.policy import AdmissionPolicy, Caller
from headrace.ingress.refusal import Refusal
from headrace.schemas.errors import Code
from headrace.schemas.names import Outcome, RequestId

MAX_WAIT_S = 60.0
"""Longest `?wait=`: shorter than what load balancers cut."""
MAX_FOLLOWERS = 10_000
"""Clients that may wait for or follow requests in one process; beyond it 429."""
MAX_ID = 1024
LARGE_BYTES = 256 * 1024
"""A longer answer is made into a job object beside the event loop."""

_PATH = re.compile(rb"/v1/jobs/([^/]+)(/events)?")
"""Of the raw path: a producer's own id may have an escaped slash."""
_SECONDS = re.compile(r"\d{1,6}(\.\d{1,3})?")
_NOT_FOUND = Refusal(Code.JOB_NOT_FOUND, "No job of yours has this id.")
_FULL = Refusal(Code.QUEUE_FULL, "Too many clients wait for jobs here.", retry_after_s=2)
_GET_ONLY = Refusal(Code.METHOD_NOT_ALLOWED, "Use GET.")
_GET_OR_DELETE = Refusal(Code.METHOD_NOT_ALLOWED, "Use GET or DELETE.")
_ALLOWED = {_GET_ONLY: b"GET", _GET_OR_DELETE: b"GET, DELETE"}
_ENDED = Refusal(Code.NOT_CANCELLABLE, "The request has ended already.")


class JobRoutes:
    """One per process."""

    def __init__(
        self, *, policy: AdmissionPolicy, sources: Sources, ledger: Ledger, interest: Interest,
        metrics: Metrics, new_id: Callable[[], RequestId],
    ) -> None:  # fmt: skip
        self._policy = policy
        self._s = sources
        self._ledger = ledger
        self._interest = interest
        self._metrics = metrics
        self._new_id = new_id
        self._followers = 0

    async def __call__(self, scope: Scope, _: Receive, send: Send) -> None:
        """ASGI."""
        headers = dict(scope["headers"])
        found = await self._find(scope, headers)
        if isinstance(found, Refusal):
            await self._refuse(found, send)
            return
        row, events = found
        connection, cycle = scope["state"][STATE]
        listener = Listener(connection, cycle, asyncio.get_running_loop())
        self._followers += 1
        try:
            if scope["method"] == "DELETE":
                await self._cancel(row, send)
            elif events:
                await self._events(row, headers, listener, send)
            else:
                await self._show(row, scope, listener, send)
        finally:
            self._followers -= 1
            listener.leave()

    async def _find(self, scope: Scope, headers: dict[bytes, bytes]) -> tuple[Row, bool] | Refusal:
        """The row that is asked for, and whether its events are."""
        path = _PATH.fullmatch(scope["raw_path"])
        caller = admission.authenticate(self._policy, headers.get(b"authorization", b""))
        if isinstance(caller, Refusal):
            return caller
        if path is None:
            return Refusal(Code.NOT_FOUND, "Not Found")
        events = path[2] is not None
        if scope["method"] not in (("GET",) if events else ("GET", "DELETE")):
            return _GET_ONLY if events else _GET_OR_DELETE
        if self._followers >= MAX_FOLLOWERS:
            return _FULL
        row = await self._row(caller, unquote(path[1].decode("latin-1")))
        return row if isinstance(row, Refusal) else (row, events)

    async def _row(self, caller: Caller, name: str) -> Row | Refusal:
        if len(name) > MAX_ID or not name.isprintable():
            return _NOT_FOUND
        index, request_id = self._s.index, RequestId(name)
        row = index.get(caller.tenant, request_id)
        if row is not None:
            return row
        if not index.ready:
            return REBUILDING
        try:
            return await index.wait_to_end(caller.tenant, request_id) or _NOT_FOUND
        except NotCaughtUp:
            return REBUILDING

    async def _show(self, row: Row, scope: Scope, listener: Listener, send: Send) -> None:
        wait_s = _wait_s(scope.get("query_string", b""))
        if isinstance(wait_s, Refusal):
            await self._refuse(wait_s, send)
            return
        await self._interest.show(row)
        if wait_s:
            row = await until(self._s, row, listener, self._s.monotonic() + wait_s, _ended)
        final = await ending.final_of(row, self._s.results) if row.ended else None
        if isinstance(final, Refusal):
            await self._refuse(final, send)
            return
        if final is not None and len(final.body) > LARGE_BYTES:
            body = await asyncio.to_thread(view.job, row, final)
        else:
            body = view.job(row, final)
        await send_answer(send, view.shown(row, body, 200))

    async def _cancel(self, row: Row, send: Send) -> None:
        decided = await self._ledger.cancel(row)
        if isinstance(decided, Refusal):
            await self._refuse(decided, send)
        elif decided.outcome is not Outcome.CANCELLED:
            await self._refuse(_ENDED, send)
        else:
            await send_answer(
                send, view.shown(decided, view.job(decided, ending.made(decided)), 200)
            )

    async def _events(
        self, row: Row, headers: dict[bytes, bytes], listener: Listener, send: Send
    ) -> None:
        after: Cursor | None = None
        told = headers.get(b"last-event-id")
        if told:
            after = read_cursor(told)
            if after is None:
                message = "Last-Event-ID is none that these events had."
                await self._refuse(Refusal(Code.INVALID_HEADER, message, "last-event-id"), send)
                return
        await self._interest.show(row)
        head = view.stream_head(row)
        await send({"type": "http.response.start", "status": 200, "headers": head})
        tail = Tail(self._s, row, EventStream(after), listener)
        async with contextlib.aclosing(tail.pieces()) as pieces:
            async for piece in pieces:
                await send_part(send, piece)
        if not listener.lost:
            await send({"type": "http.response.body", "body": b""})

    async def _refuse(self, refusal: Refusal, send: Send) -> None:
        self._metrics.refused(refusal.code)
        whole: Answer = answer.from_refusal(refusal, self._new_id())
        if refusal in _ALLOWED:
            whole.headers.append((b"allow", _ALLOWED[refusal]))
        await send_answer(send, whole)


def _ended(row: Row) -> bool:
    return row.ended


def _wait_s(query: bytes) -> float | Refusal:
    """Seconds of `?wait=`, at most `MAX_WAIT_S`; 0 without."""
    told = parse_qs(query.decode("latin-1"), keep_blank_values=True).get("wait")
    if told is None:
        return 0.0
    if len(told) != 1 or not _SECONDS.fullmatch(told[0]):
        return Refusal(Code.INVALID_REQUEST, "`wait` is a number of seconds.", "wait")
    return min(float(told[0]), MAX_WAIT_S)
