"""HTTP answers as pure values: status, headers and body from a reply or a refusal."""

import math
import re
from functools import lru_cache

import msgspec

from headrace.ingress.refusal import Refusal
from headrace.schemas.errors import CATALOGUE, error_body
from headrace.schemas.names import RequestId
from headrace.schemas.records import JSON_TYPE
from headrace.schemas.replies import Reply

HttpHeaders = list[tuple[bytes, bytes]]

MAX_RETRY_AFTER_S = 120
"""Official clients give up on more."""

_read_object = msgspec.json.Decoder(dict[str, str]).decode
_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_BAD_VALUE = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_RETRYABLE: dict[str, bool] = {code.value: spec.retryable for code, spec in CATALOGUE.items()}
EVENT_STREAM = b"text/event-stream; charset=utf-8"


class Answer(msgspec.Struct):
    """A whole HTTP answer."""

    status: int
    headers: HttpHeaders
    body: bytes


def from_reply(reply: Reply, request_id: RequestId) -> Answer:
    """The upstream's answer as it gave it, or the dispatcher's error; with our headers added."""
    headers: HttpHeaders = [
        (
            b"content-type",
            JSON_TYPE if _BAD_VALUE.search(reply.content_type) else reply.content_type,
        ),
        (b"content-length", b"%d" % len(reply.body)),
        (b"x-request-id", request_id.encode()),
        (b"headrace-attempts", b"%d" % reply.attempts),
        (b"headrace-queue-ms", b"%d" % reply.queue_ms),
    ]
    if reply.upstream:
        headers.append((b"headrace-upstream", reply.upstream.encode()))
    if reply.upstream_headers:
        headers += upstream_headers(reply.upstream_headers)
    if reply.code:
        headers += _hints(reply.code, reply.retry_after_ms / 1000)
    return Answer(reply.status, headers, reply.body)


def upstream_headers(encoded: bytes) -> HttpHeaders:
    """The upstream's headers that are passed on; what HTTP could not carry is left out."""
    try:
        found = _read_object(encoded)
    except msgspec.MsgspecError:
        return []
    headers: HttpHeaders = []
    for text_name, text in found.items():
        name, value = _header_name(text_name), text.encode()
        if name is not None and not _BAD_VALUE.search(value):
            headers.append((name, value))
    return headers


@lru_cache(maxsize=256)
def _header_name(text: str) -> bytes | None:
    """The name as it goes out; None for what is no name, or is ours to say."""
    name = text.encode().lower()
    return name if _NAME.fullmatch(name) and name not in _OWN else None


_OWN = frozenset(
    (b"content-type", b"content-length", b"transfer-encoding", b"connection", b"x-request-id")
)


def from_refusal(refusal: Refusal, request_id: RequestId) -> Answer:
    """An error of ours in the API's shape."""
    body = error_body(refusal.code, refusal.message, refusal.param)
    headers: HttpHeaders = [
        (b"content-type", JSON_TYPE),
        (b"content-length", b"%d" % len(body)),
        (b"x-request-id", request_id.encode()),
    ]
    if refusal.location:
        headers.append((b"location", refusal.location.encode()))
    headers += _hints(refusal.code, refusal.retry_after_s, refusal.again)
    return Answer(refusal.spec.status, headers, body)


def put(headers: HttpHeaders, limits: HttpHeaders) -> HttpHeaders:
    """Headers of an answer with the caller's own limits, in place of what the upstream said of its own."""
    if not limits:
        return headers
    names = {name for name, _ in limits}
    return [one for one in headers if one[0] not in names] + limits


def stream_headers(
    request_id: RequestId, attempts: int = 0, queue_ms: int | None = None, upstream: str = ""
) -> HttpHeaders:
    """Headers of a stream, with what is known of its answer; without `upstream` nothing is yet."""
    headers: HttpHeaders = [
        (b"content-type", EVENT_STREAM),
        (b"cache-control", b"no-cache"),
        (b"x-accel-buffering", b"no"),
        (b"x-request-id", request_id.encode()),
    ]
    if upstream:
        headers.append((b"headrace-attempts", b"%d" % attempts))
        headers.append((b"headrace-upstream", upstream.encode()))
        if queue_ms is not None:
            headers.append((b"headrace-queue-ms", b"%d" % queue_ms))
    return headers


def _hints(code: str, retry_after_s: float, again: bool | None = None) -> HttpHeaders:
    """What tells an official client whether and when to ask again."""
    hints: HttpHeaders = []
    retryable = _RETRYABLE.get(code) if again is None else again
    if retryable is not None:
        hints.append((b"x-should-retry", b"true" if retryable else b"false"))
    if retry_after_s > 0:
        seconds = min(retry_after_s, MAX_RETRY_AFTER_S)
        hints.append((b"retry-after", b"%d" % math.ceil(seconds)))
        hints.append((b"retry-after-ms", b"%d" % round(seconds * 1000)))
    return hints
