"""What is told about a request in the end: values made of verdicts. No I/O."""

from collections.abc import Mapping

import msgspec
import orjson

from headrace.dispatcher.ports import CallEnd
from headrace.dispatcher.waiting import Waiting
from headrace.schemas.errors import CATALOGUE, Code, error_body
from headrace.schemas.names import DeploymentName, Outcome, RequestId
from headrace.schemas.records import ReplyTo
from headrace.schemas.replies import Reply

PASSED_ON = frozenset(
    (
        "openai-processing-ms",
        "openai-version",
        "retry-after",
        "retry-after-ms",
        "x-should-retry",
    )
)
"""Response headers of an upstream that its client also gets through Headrace."""


class Ending(msgspec.Struct, frozen=True, kw_only=True):
    """A terminal answer. `code` is empty where the upstream's own answer is passed on."""

    outcome: Outcome
    status: int
    body: bytes
    content_type: bytes = b"application/json"
    code: str = ""
    upstream: DeploymentName = DeploymentName("")
    upstream_headers: bytes = b""
    retry_ms: int = 0
    """How long its owner should wait before it asks again; 0: none is told."""


def of_answer(end: CallEnd, deployment: DeploymentName, outcome: Outcome) -> Ending:
    """The upstream's answer as it is."""
    return Ending(
        outcome=outcome,
        status=end.client_status,
        body=end.body,
        content_type=end.content_type,
        upstream=deployment,
        upstream_headers=_passed_on(end.headers),
    )


def of_error(
    outcome: Outcome,
    code: Code,
    message: str,
    deployment: DeploymentName | None = None,
    *,
    retry_ms: int = 0,
) -> Ending:
    """An error of ours."""
    return Ending(
        outcome=outcome,
        status=CATALOGUE[code].status,
        body=error_body(code, message),
        code=code.value,
        upstream=deployment or DeploymentName(""),
        retry_ms=retry_ms,
    )


def cancelled() -> Ending:
    """The answer of a request whose owner took it back."""
    return of_error(Outcome.CANCELLED, Code.CANCELLED, "the request was cancelled")


def unwritable(deployment: DeploymentName) -> Ending:
    """The answer of a request whose stream Kafka did not take."""
    message = "the stream could not be written to Kafka"
    return of_error(Outcome.FAILED, Code.UPSTREAM_STREAM_BROKEN, message, deployment)


def undeliverable(ending: Ending) -> Ending:
    """What an ending becomes where Kafka will never take its answer."""
    message = "the answer could not be written"
    return of_error(Outcome.DEAD_LETTERED, Code.REPLY_LOST, message, ending.upstream)


def last_word(
    end: CallEnd,
    deployment: DeploymentName,
    outcome: Outcome,
    code: Code,
    message: str,
    *,
    pass_on: bool,
) -> Ending:
    """What the owner of a given-up request is told: the upstream's last answer where there was one."""
    if pass_on:
        return of_answer(end, deployment, outcome)
    return of_error(outcome, code, message, deployment)


def reply_of(request_id: RequestId, ending: Ending) -> Reply:
    """The final that tells of it, without what depends on the request."""
    return Reply(
        id=request_id,
        body=ending.body,
        final=True,
        status=ending.status,
        outcome=ending.outcome,
        content_type=ending.content_type,
        code=ending.code,
        upstream=ending.upstream,
        upstream_headers=ending.upstream_headers,
        retry_after_ms=ending.retry_ms,
    )


def _passed_on(headers: Mapping[str, str]) -> bytes:
    # Bytes that are no UTF-8 arrive as surrogates, which cannot be written again.
    kept = {n: value for n, value in headers.items() if n in PASSED_ON and value.isprintable()}
    return orjson.dumps(kept) if kept else b""


class Event(msgspec.Struct, frozen=True):
    """One line on `events`: an attempt that ended, and the request's end if it was the last. No text."""

    id: str
    tenant: str
    lane: str
    model: str
    endpoint: str
    stream: bool
    deployment: str
    attempt: int
    status: int
    code: str
    outcome: str | None
    """Terminal state, null while the request goes on."""
    queue_ms: int
    call_ms: int
    request_bytes: int
    answer_bytes: int


_encode = msgspec.json.Encoder().encode


def event(
    waiting: Waiting,
    *,
    ending: Ending | None,
    deployment: str,
    status: int,
    code: str,
    call_ms: int,
) -> bytes:
    """The event of an attempt, or, with `ending`, of the request's end."""
    return _encode(
        Event(
            id=waiting.id,
            tenant=waiting.record.tenant,
            lane=waiting.lane,
            model=waiting.model,
            endpoint=waiting.endpoint.value,
            stream=waiting.stream,
            deployment=deployment,
            attempt=waiting.attempt,
            status=status,
            code=code,
            outcome=None if ending is None else ending.outcome.value,
            queue_ms=queue_ms(waiting),
            call_ms=call_ms,
            request_bytes=waiting.size,
            answer_bytes=0 if ending is None else len(ending.body),
        )
    )


def opening(waiting: Waiting, address: ReplyTo, deployment: DeploymentName) -> Reply:
    """What is known of a stream when its call begins."""
    return Reply(
        id=waiting.id,
        body=b"",
        attempt=waiting.attempt,
        instance=address.instance,
        queue_ms=queue_ms(waiting),
        upstream=deployment,
    )


def queue_ms(waiting: Waiting) -> int:
    """Milliseconds from acceptance, or the time before which it was not to run, to the first call.

    0 if none was made here.
    """
    if not waiting.first_call_ms:
        return 0
    since_ms = max(waiting.source.timestamp_ms, waiting.record.not_before_ms)
    return max(0, waiting.first_call_ms - since_ms)
