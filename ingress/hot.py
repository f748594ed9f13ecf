"""The hot routes: Admit, Enqueue, Answer. A plain ASGI callable in front of the FastAPI app, because
a framework route costs several times what all of this does.
"""

import asyncio
import random
from collections.abc import Callable
from typing import Any

from headrace.ingress import admission, answer
from headrace.ingress.asgi import Receive, Scope, Send, linger, read_body, send_answer
from headrace.ingress.connection import STATE, Listener
from headrace.ingress.ids import RANDOM_BITS, uuid7
from headrace.ingress.refusal import Refusal
from headrace.ingress.services import Services
from headrace.ingress.stream import relay
from headrace.ingress.waiter import Waiter
from headrace.schemas.errors import Code
from headrace.schemas.names import Endpoint, RequestId
from headrace.schemas.records import RequestRecord

HOT: dict[str, Endpoint] = {f"/v1/{endpoint.value}": endpoint for endpoint in Endpoint}
GRACE_AFTER_DEADLINE_S = 10.0
"""The dispatcher answers `expired` itself; only when that fails does the ingress speak."""

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
        endpoint = HOT.get(scope.get("path", ""))
        if endpoint is None or scope["type"] != "http":
            await self._rest(scope, receive, send)
        else:
            await self._serve(endpoint, scope, receive, send)

    async def _serve(self, endpoint: Endpoint, scope: Scope, receive: Receive, send: Send) -> None:
        s = self._s
        started = s.monotonic()
        now_ms = s.clock.now_ms(started * 1000)
        request_id = uuid7(now_ms, random.getrandbits(RANDOM_BITS))
        headers = dict(scope["headers"])
        admitted = await self._admit(endpoint, scope, headers, receive, request_id, now_ms)
        if admitted is None:
            return
        if isinstance(admitted, Refusal):
            await self._refuse(admitted, request_id, send, receive)
            return
        connection, cycle = scope["state"][STATE]
        listener = Listener(connection, cycle, self._loop)
        if not listener.lost:
            await self._exchange(admitted, listener, send, started, now_ms)

    async def _admit(
        self, endpoint: Endpoint, scope: Scope, headers: dict[bytes, bytes], receive: Receive,
        request_id: RequestId, now_ms: int,
    ) -> RequestRecord | Refusal | None:  # fmt: skip
        """Admit: None if the client left while it was sending."""
        s = self._s
        if scope["method"] != "POST":
            return _POST_ONLY
        refusal = self._no_room()
        if refusal is not None:
            return refusal
        caller = admission.admit_head(s.policy, headers)
        if isinstance(caller, Refusal):
            return caller
        body = await read_body(receive, s.policy.max_body_bytes)
        if body is None:
            return None
        if isinstance(body, Refusal):
            return body
        return admission.admit(
            s.policy,
            caller,
            endpoint,
            headers,
            body,
            request_id=request_id,
            now_ms=now_ms,
            reply=s.link.reply,
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
        self, record: RequestRecord, listener: Listener, send: Send, started: float, now_ms: int
    ) -> None:
        """Enqueue, wait, Answer. However it ends, a request without its final is cancelled."""
        s = self._s
        ends_at = started + (record.deadline_ms - now_ms) / 1000 + GRACE_AFTER_DEADLINE_S
        waiter = Waiter(
            record.id,
            record.stream is True,
            listener,
            started,
            started + s.max_sync_wait_s,
            ends_at,
        )
        s.board.expect(waiter)
        refused: Refusal | None = None
        try:
            refused = await s.outbox.enqueue(record, waiter)
            if refused is not None:
                await send_answer(send, answer.from_refusal(refused, record.id))
            elif waiter.stream:
                await relay(s.board, waiter, listener, send, s.monotonic, s.metrics)
            else:
                await self._answer(waiter, listener, send)
        finally:
            listener.leave()
            s.board.drop(waiter)
            if refused is None and waiter.final is None:
                s.cancels.add(record.id, record.deadline_ms)
            self._account(record, waiter, refused, started)

    async def _answer(self, waiter: Waiter, listener: Listener, send: Send) -> None:
        while not (waiter.settled or listener.lost):
            await listener.change()
        if waiter.final is not None:
            whole = answer.from_reply(waiter.final, waiter.id)
        elif waiter.failure is not None:
            whole = answer.from_refusal(waiter.failure, waiter.id)
        else:
            return
        if not listener.answer(whole):
            await send_answer(send, whole)

    def _account(
        self,
        record: RequestRecord,
        waiter: Waiter,
        refused: Refusal | None,
        started: float,
    ) -> None:
        """Count the request. Successes are logged at debug level only: a line a request is a cost."""
        s = self._s
        elapsed = s.monotonic() - started
        final, failure = waiter.final, refused or waiter.failure
        if final is not None:
            outcome = final.outcome.value if final.outcome is not None else "completed"
            code, status = final.code, final.status
        elif failure is not None:
            outcome, code, status = "failed", failure.code.value, failure.spec.status
        else:
            outcome, code, status = "cancelled", Code.CANCELLED.value, 499
        s.metrics.request(record.model, record.lane, outcome, elapsed)
        tell = s.log.debug if status < 400 else s.log.info
        tell(
            "request_done", request_id=record.id, tenant=record.tenant, model=record.model, lane=record.lane,
            outcome=outcome, status=status, code=code, dur_ms=round(elapsed * 1000, 1),
        )  # fmt: skip

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
