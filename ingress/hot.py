"""The hot routes: Admit, Enqueue, Answer. A plain ASGI callable in front of the FastAPI app, because
a framework route costs several times what all of this does.

A request with a kind is admitted here too, and then treated in `jobs`.
"""

import asyncio
import random
from collections.abc import Callable
from typing import Any

from headrace.ingress import admission, answer
from headrace.ingress.asgi import Receive, Scope, Send, linger, read_body, send_answer, telling
from headrace.ingress.connection import STATE, Connection, Listener
from headrace.ingress.forecast import HttpHeaders
from headrace.ingress.ids import RANDOM_BITS, uuid7
from headrace.ingress.jobs import submission
from headrace.ingress.jobs.exchange import Asked
from headrace.ingress.keys.comebacks import comeback_digest, repeats
from headrace.ingress.policy import Caller
from headrace.ingress.refusal import Refusal
from headrace.ingress.services import Services
from headrace.ingress.stream import relay
from headrace.ingress.waiter import GRACE_AFTER_DEADLINE_S, Waiter
from headrace.schemas.errors import Code
from headrace.schemas.names import Endpoint, Kind, RequestId
from headrace.schemas.records import RequestRecord
from headrace.schemas.replies import Cancel

HOT: dict[str, Endpoint] = {f"/v1/{endpoint.value}": endpoint for endpoint in Endpoint}
SUBMIT = "/v1/jobs"
BELOW_JOBS = "/v1/jobs/"

_DRAINING = Refusal(Code.SHUTTING_DOWN, "This process is shutting down.", retry_after_s=1)
_QUEUE_FULL = Refusal(
    Code.QUEUE_FULL, "Too many requests wait for their answers here.", retry_after_s=2
)
_POST_ONLY = Refusal(Code.METHOD_NOT_ALLOWED, "Use POST.")


class HotRoutes:
    """Serves the three generating endpoints, and passes everything else on to `rest`."""

    def __init__(self, services: Services, rest: Callable[[Scope, Receive, Send], Any]) -> None:
        self._s = services
        self._rest = rest
        self._loop = asyncio.get_running_loop()
        self.draining = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        path: str = scope.get("path", "")
        endpoint = HOT.get(path)
        if scope["type"] != "http":
            await self._rest(scope, receive, send)
        elif endpoint is not None or path == SUBMIT:
            await self._serve(endpoint, scope, receive, send)
        elif path.startswith(BELOW_JOBS):
            await self._s.jobs.routes(scope, receive, send)
        else:
            await self._rest(scope, receive, send)

    async def _serve(
        self, endpoint: Endpoint | None, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Serve a call of `endpoint`, or, without one, the submission of a job."""
        s = self._s
        started = s.monotonic()
        now_ms = s.clock.now_ms(started * 1000)
        request_id = uuid7(now_ms, random.getrandbits(RANDOM_BITS))
        headers = dict(scope["headers"])
        admitted = await self._admit(endpoint, scope, headers, receive, request_id, now_ms)
        if admitted is None:
            return
        if isinstance(admitted, Refusal):
            refusal = admitted if endpoint is not None else submission.blame(admitted)
            await self._refuse(refusal, request_id, send, receive)
            return
        connection, cycle = scope["state"][STATE]
        listener = Listener(connection, cycle, self._loop)
        if listener.lost:
            return
        if admitted.kind is None:
            await self._exchange(admitted, listener, send, started, now_ms, headers)
        elif hopeless := self._hopeless(admitted, now_ms):
            await self._refuse(hopeless, request_id, send, receive)
        else:
            limits = self._limits(admitted, now_ms)
            told = telling(send, limits)
            await self._with_kind(Asked(admitted, listener, told, started, now_ms, limits))

    def _hopeless(self, record: RequestRecord, now_ms: int) -> Refusal | None:
        """Of a request with a kind; a key may stand for one that has its answer already."""
        return None if record.idempotency_key else self._s.forecast.refusal(record, now_ms)

    def _limits(self, record: RequestRecord, now_ms: int) -> HttpHeaders:
        """What is left of its caller's limits."""
        headers = self._s.forecast.headers
        return headers(record.model, record.tenant, now_ms, record.key_name)

    async def _with_kind(self, asked: Asked) -> None:
        record, exchange = asked.record, self._s.jobs.exchange
        if record.idempotency_key:
            await self._s.keys.keyed.serve(asked)
            return
        record.reply = self._s.link.address(record.kind, record.id)
        if record.kind is Kind.JOB:
            await exchange.accept(asked)
        else:
            await exchange.hold(asked)

    async def _admit(
        self, endpoint: Endpoint | None, scope: Scope, headers: dict[bytes, bytes], receive: Receive,
        request_id: RequestId, now_ms: int,
    ) -> RequestRecord | Refusal | None:  # fmt: skip
        """Admit: None if the client left while it was sending."""
        s = self._s
        if scope["method"] != "POST":
            return _POST_ONLY
        refusal = self._no_room()
        if refusal is not None:
            return refusal
        connection: Connection = scope["state"][STATE][0]
        authorization = headers.get(b"authorization", b"")
        known = connection.known(authorization)
        caller = admission.admit_head(s.policy, headers, known)
        if isinstance(caller, Refusal):
            return caller
        if known is None:
            connection.accepted(authorization, caller)
        body = await read_body(receive, s.policy.max_body_bytes)
        if body is None:
            return None
        if isinstance(body, Refusal):
            return body
        return self._judge(caller, endpoint, headers, body, request_id, now_ms)

    def _judge(
        self, caller: Caller, endpoint: Endpoint | None, headers: dict[bytes, bytes], body: bytes,
        request_id: RequestId, now_ms: int,
    ) -> RequestRecord | Refusal:  # fmt: skip
        if endpoint is None:
            job = submission.read(body, headers)
            if isinstance(job, Refusal):
                return job
            endpoint, body, headers = job.endpoint, job.body, job.headers
        return admission.admit(
            self._s.policy,
            caller,
            endpoint,
            headers,
            body,
            request_id=request_id,
            now_ms=now_ms,
            reply=self._s.link.reply,
        )

    def _no_room(self) -> Refusal | None:
        """Why nothing can be accepted at all now, whatever it is."""
        s = self._s
        if self.draining:
            return _DRAINING
        if s.link.trouble is not None:
            return s.link.trouble
        return _QUEUE_FULL if s.board.full else None

    async def _exchange(
        self, record: RequestRecord, listener: Listener, send: Send, started: float, now_ms: int,
        headers: dict[bytes, bytes],
    ) -> None:  # fmt: skip
        """Enqueue, wait, Answer. However it ends, a request without its final is cancelled, at once or
        when its client had time to ask again.
        """
        s = self._s
        digest = comeback_digest(record, headers)  # of a body that is not kept
        waiter = await self._taken_up(record, listener, started, now_ms, headers)
        refused: Refusal | None = None
        enqueued = waiter is not None
        if waiter is None:
            waiter = self._waiter(record, listener, started, now_ms)
            s.board.expect(waiter)
        try:
            if not enqueued:
                hopeless = s.forecast.refusal(record, now_ms)
                refused = hopeless or await s.outbox.enqueue(record, waiter)
            told = telling(send, self._limits(record, now_ms))
            if refused is not None:
                await send_answer(told, answer.from_refusal(refused, record.id))
            elif waiter.stream:
                await relay(s.board, waiter, listener, told, s.monotonic, s.metrics)
            else:
                await self._answer(record, waiter, listener, send)
        finally:
            listener.leave()
            s.board.drop(waiter)
            if refused is None and waiter.final is None:
                back = listener.lost and not self.draining
                if not (back and s.keys.comebacks.left(record, waiter, digest, started)):
                    s.cancels.add(Cancel(record.id, record.deadline_ms, record.tenant))
            s.accounts.ended(record, waiter, refused, started)

    def _waiter(
        self, record: RequestRecord, listener: Listener, started: float, now_ms: int
    ) -> Waiter:
        lasts_s = (record.deadline_ms - now_ms) / 1000 + GRACE_AFTER_DEADLINE_S
        waits_until = started + self._s.max_sync_wait_s
        stream = record.stream is True
        return Waiter(record.id, stream, listener, started, waits_until, started + lasts_s)

    async def _taken_up(
        self, record: RequestRecord, listener: Listener, started: float, now_ms: int,
        headers: dict[bytes, bytes],
    ) -> Waiter | None:  # fmt: skip
        """Who waits for the call that a broken connection of the same client has left running."""
        comebacks = self._s.keys.comebacks
        orphan = comebacks.find(record, now_ms) if repeats(headers) else None
        if orphan is None:
            return None
        fresh = record.id, record.deadline_ms
        record.id, record.deadline_ms = orphan.id, orphan.deadline_ms
        waiter = self._waiter(record, listener, started, now_ms)
        if await comebacks.take_up(orphan, waiter):
            record.body = b""
            return waiter
        record.id, record.deadline_ms = fresh
        return None

    async def _answer(
        self, record: RequestRecord, waiter: Waiter, listener: Listener, send: Send
    ) -> None:
        while not (waiter.settled or listener.lost):
            await listener.change()
        if waiter.final is not None:
            whole = answer.from_reply(waiter.final, waiter.id)
        elif waiter.failure is not None:
            whole = answer.from_refusal(waiter.failure, waiter.id)
        else:
            return
        now_ms = self._s.clock.now_ms(self._s.monotonic() * 1000)
        whole.headers = answer.put(whole.headers, self._limits(record, now_ms))
        if not listener.answer(whole):
            await send_answer(send, whole)

    async def _refuse(
        self, refusal: Refusal, request_id: RequestId, send: Send, receive: Receive
    ) -> None:
        self._s.metrics.refused(refusal.code)
        self._s.log.info("request_refused", request_id=request_id, code=refusal.code.value)
        reply = answer.from_refusal(refusal, request_id)
        if refusal is _POST_ONLY:
            reply.headers.append((b"allow", b"POST"))
        if refusal.code is Code.RECORD_TOO_LARGE:
            await linger(receive, send, reply)
        else:
            if refusal is _DRAINING:
                reply.headers.append((b"connection", b"close"))
            await send_answer(send, reply)
