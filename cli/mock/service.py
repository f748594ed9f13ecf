"""A model call from its receipt to its end: count, log, decide, perform, log."""

import asyncio
import hashlib
import hmac
from collections.abc import Callable
from dataclasses import replace

from headrace.cli.mock.answers import tokens_of
from headrace.cli.mock.attempts import Attempts
from headrace.cli.mock.calls import CallError, Endpoint, ModelCall, read_call
from headrace.cli.mock.config import MockConfig
from headrace.cli.mock.failures import decide_failure
from headrace.cli.mock.faults import Ending
from headrace.cli.mock.layers import Layers
from headrace.cli.mock.log import CallLog, Finished, LoggedCall, Outcome, Received
from headrace.cli.mock.perform import Sent, Wire, perform
from headrace.cli.mock.reading import HttpRequest
from headrace.cli.mock.replies import (
    Reply,
    limit_headers,
    refuse,
    refuse_by_limit,
    reply_to,
    slowed,
)
from headrace.cli.mock.script import ScriptError
from headrace.cli.mock.stats import Stats
from headrace.cli.mock.window import Limits, ModelLimit

SCRIPT_HEADER = "x-mock-script"


class MockService:
    """Holds all state of the mock: attempts, limits, log, counts.

    `wall_ms` gives epoch milliseconds for the log, `elapsed_s` monotonic seconds for the limits.
    """

    def __init__(
        self,
        config: MockConfig,
        log: CallLog,
        wall_ms: Callable[[], int],
        elapsed_s: Callable[[], float],
    ) -> None:
        """Start with no history. `log` must be open."""
        self._config = config
        self._wall_ms = wall_ms
        self._elapsed_s = elapsed_s
        self._attempts = Attempts(config.requests_remembered)
        self._limits = Limits()
        self.layers = Layers(config.script, config.models)
        self.log = log
        self.stats = Stats()
        self.stopping = False

    def reset(self) -> None:
        """Forget attempts, limits, counts and the calls in memory; the file and `seq` go on."""
        self._attempts.clear()
        self._limits.clear()
        self.stats.clear()
        self.log.clear()

    async def serve(self, endpoint: Endpoint, request: HttpRequest, wire: Wire) -> None:
        """Serve one call. Raises OSError when the log cannot be written: it must not lie."""
        logged, read = self._receive(endpoint, request)
        self.stats.begin()
        sent, outcome = Sent(), Outcome.CUT
        reply, limit, tokens = self._decide(logged.received.attempt, request, read)
        try:
            await perform(
                _marked(reply, logged.received),
                wire,
                sent,
                chunked=request.chunked,
                keep=request.keep_alive,
            )
            if reply.ending is Ending.COMPLETE:
                outcome = Outcome.ANSWERED
        except asyncio.CancelledError:
            outcome = Outcome.STOPPED if self.stopping else Outcome.CLIENT_DISCONNECTED
            raise
        finally:
            if limit is not None:
                limit.leave()
            self._finish(logged, reply, sent, outcome, tokens)

    def _receive(
        self, endpoint: Endpoint, request: HttpRequest
    ) -> tuple[LoggedCall, ModelCall | CallError]:
        """Number and log the call, whatever its body is."""
        digest = hashlib.sha256(request.body).digest()
        read: ModelCall | CallError
        try:
            read = read_call(endpoint, request.body, digest)
        except CallError as refused:
            read = refused
        known = read if isinstance(read, ModelCall) else None
        line = Received(
            seq=self.log.next_seq,
            received_at=self._wall_ms(),
            path=endpoint,
            body_sha256=digest.hex(),
            attempt=self._attempts.count(digest),
            model=known.model if known else "",
            stream=known.stream if known else False,
            request_id=request.headers.get("x-request-id", ""),
            idempotency_key=request.headers.get("idempotency-key", ""),
        )
        return self.log.receive(line), read

    def _decide(
        self, attempt: int, request: HttpRequest, call: ModelCall | CallError
    ) -> tuple[Reply, ModelLimit | None, int]:
        """The reply, the limit whose seat it holds, and the tokens that it took of it."""
        if not self._authorized(request):
            return refuse(401, "Incorrect API key provided."), None, 0
        if isinstance(call, CallError):
            return refuse(400, str(call), param=call.param), None, 0
        try:
            script = self.layers.script_of(call, request.headers.get(SCRIPT_HEADER, ""))
        except ScriptError as refused:
            return refuse(400, f"The mock's script is wrong: {refused}", "mock_script"), None, 0
        if script.sign:
            call = replace(call, fingerprint=f"fp_{attempt}")
        limit = self._limits.of(call.model)
        tokens = tokens_of(call, script.tokens)
        admission = limit.admit(script, self._elapsed_s(), tokens)
        if not admission.admitted:
            return refuse_by_limit(admission), None, 0
        failure = decide_failure(script, self._config.seed, call.digest, attempt)
        try:
            reply = reply_to(call, script, failure, self._wall_ms())
        except CallError as refused:
            reply = refuse(400, str(refused), param=refused.param)
        reply = slowed(reply, script.slow_above, limit.seats)
        headers = (*reply.headers, *limit_headers(admission))
        return replace(reply, headers=headers), limit, tokens

    def _authorized(self, request: HttpRequest) -> bool:
        key = self._config.api_key
        if key is None:
            return True
        given = request.headers.get("authorization", "").encode()
        return hmac.compare_digest(given, f"Bearer {key.get_secret_value()}".encode())

    def _finish(
        self, logged: LoggedCall, reply: Reply, sent: Sent, outcome: Outcome, tokens: int
    ) -> None:
        line = Finished(
            seq=logged.received.seq,
            finished_at=self._wall_ms(),
            outcome=outcome,
            status=sent.status,
            bytes=sent.bytes,
            chunks=sent.chunks,
            cause=reply.cause,
            fault="" if reply.fault == "none" else reply.fault,
            tokens=tokens,
        )
        self.stats.end(sent.status, outcome, reply.cause)
        self.log.finish(logged, line)


def _marked(reply: Reply, received: Received) -> Reply:
    """Headers that name the call in the log; they are no part of the answer's bytes."""
    marks = (("x-mock-seq", str(received.seq)), ("x-mock-attempt", str(received.attempt)))
    return replace(reply, headers=(*reply.headers, *marks))
