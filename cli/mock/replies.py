"""The reply to a call as one value: what is sent, when, and how the connection ends. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from email.utils import formatdate
from math import ceil
from typing import Final

from headrace.cli.mock.answers import compose_answer, plain_body
from headrace.cli.mock.calls import Endpoint, ModelCall
from headrace.cli.mock.embeddings import embeddings_body
from headrace.cli.mock.errors import error_body, error_words
from headrace.cli.mock.failures import Cause, Failure
from headrace.cli.mock.faults import (
    SILENT,
    Ending,
    break_body,
    break_stream,
    declared_length,
    ending_of,
)
from headrace.cli.mock.script import Fault, Script
from headrace.cli.mock.streams import Frame, stream_frames
from headrace.cli.mock.window import Admission

JSON: Final = ("content-type", "application/json")
EVENTS: Final = ("content-type", "text/event-stream; charset=utf-8")
WAITING_STATUSES: Final = (429, 503, 529)

Headers = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds before the head, before the first event, between tokens; bytes a second (0: all)."""

    head_s: float = 0.0
    first_s: float = 0.0
    gap_s: float = 0.0
    bytes_per_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Reply:
    """One HTTP answer. `silent` sends no byte of it; `length` is the declared Content-Length."""

    status: int
    headers: Headers
    body: bytes = b""
    length: int = 0
    frames: Iterator[Frame] | None = None
    pace: Pace = Pace()
    ending: Ending = Ending.COMPLETE
    silent: bool = False
    cause: Cause = Cause.NONE
    fault: Fault = Fault.NONE


def json_reply(status: int, body: bytes, headers: Headers = ()) -> Reply:
    """A whole JSON answer at once."""
    return Reply(status, (JSON, *headers), body, len(body))


def refuse(status: int, message: str, code: str = "", param: str | None = None) -> Reply:
    """A refusal that no script asked for: a bad body, path, key or script."""
    words = error_words(status, code)._replace(param=param)
    return replace(json_reply(status, error_body(words, message)), cause=Cause.REFUSED)


def refuse_by_limit(admission: Admission) -> Reply:
    """429 with the exact time to wait; Retry-After counts whole seconds, rounded up."""
    wait_ms = max(1, ceil(admission.retry_after_s * 1000))
    headers = (
        ("retry-after", str(ceil(wait_ms / 1000))),
        ("retry-after-ms", str(wait_ms)),
        *limit_headers(admission),
    )
    reply = json_reply(429, error_body(error_words(429)), headers)
    return replace(reply, cause=Cause.LIMIT)


def limit_headers(admission: Admission) -> Headers:
    """OpenAI's x-ratelimit-* headers, where a limit is set."""
    if not admission.limit:
        return ()
    return (
        ("x-ratelimit-limit-requests", str(admission.limit)),
        ("x-ratelimit-remaining-requests", str(admission.remaining)),
        ("x-ratelimit-reset-requests", f"{admission.reset_s:.3f}s"),
    )


def reply_to(call: ModelCall, script: Script, failure: Failure | None, now_ms: int) -> Reply:
    """The reply to an admitted call. `now_ms` (epoch) serves only a Retry-After date.

    Raises CallError where the call asks for more tokens than the mock makes.
    """
    if failure and failure.fault is Fault.NONE:
        return _error_reply(script, failure, now_ms)
    fault = failure.fault if failure else Fault.NONE
    status = failure.status if failure else 200
    reply = _stream_reply if call.stream else _plain_reply
    return replace(
        reply(call, script, fault, status),
        ending=ending_of(fault),
        silent=fault in SILENT,
        cause=failure.cause if failure else Cause.NONE,
        fault=fault,
    )


def slowed(reply: Reply, slow_above: int, running: int) -> Reply:
    """The reply of an upstream with `running` calls of which it takes `slow_above` at full speed (0: all)."""
    if not slow_above or running <= slow_above:
        return reply
    factor, pace = running / slow_above, reply.pace
    slower = Pace(
        pace.head_s * factor, pace.first_s * factor, pace.gap_s * factor, pace.bytes_per_s
    )
    return replace(reply, pace=slower)


def _stream_reply(call: ModelCall, script: Script, fault: Fault, status: int) -> Reply:
    frames = stream_frames(compose_answer(call, script.tokens))
    return Reply(
        200,
        (EVENTS, ("cache-control", "no-cache")),
        frames=break_stream(frames, fault, script, status),
        pace=Pace(
            script.latency_ms / 1000,
            script.first_token_ms / 1000,
            1 / script.tokens_per_s if script.tokens_per_s else 0.0,
            script.bytes_per_s,
        ),
    )


def _plain_reply(call: ModelCall, script: Script, fault: Fault, status: int) -> Reply:
    """A plain answer comes when its last token would have come."""
    if call.endpoint is Endpoint.EMBEDDINGS:
        body, tokens = embeddings_body(call, script.dimensions), 0
    else:
        answer = compose_answer(call, script.tokens)
        body, tokens = plain_body(answer), answer.tokens
    sent = break_body(body, fault, script, status)
    writing_s = tokens / script.tokens_per_s if script.tokens_per_s else 0.0
    head_s = (script.latency_ms + script.first_token_ms) / 1000 + writing_s
    pace = Pace(head_s=head_s, bytes_per_s=script.bytes_per_s)
    return Reply(200, (JSON,), sent, declared_length(body, sent, fault), pace=pace)


def _error_reply(script: Script, failure: Failure, now_ms: int) -> Reply:
    """A scripted error carries the wait headers always, a seeded one where providers send them."""
    body = error_body(error_words(failure.status, script.code))
    asked = failure.cause is Cause.SCRIPTED or failure.status in WAITING_STATUSES
    reply = json_reply(failure.status, body, _wait_headers(script, now_ms) if asked else ())
    return replace(reply, pace=Pace(head_s=script.latency_ms / 1000), cause=failure.cause)


def _wait_headers(script: Script, now_ms: int) -> Headers:
    named = (
        ("retry-after", _dated(script.retry_after, now_ms)),
        ("retry-after-ms", script.retry_after_ms),
        ("x-should-retry", script.should_retry),
    )
    return tuple((name, value) for name, value in named if value != "none")


def _dated(value: str, now_ms: int) -> str:
    """`date+5` becomes the HTTP-date five seconds from now; anything else stays as it is."""
    offset = value.removeprefix("date+")
    if offset == value or not (offset.isascii() and offset.isdigit() and len(offset) < 10):
        return value
    return formatdate(now_ms / 1000 + int(offset), usegmt=True)
