"""Reply records: what a dispatcher tells whoever waits for a request's answer.

A plain answer is one final record, seq 1. A stream is chunk records 1..n, each with raw SSE bytes as
the upstream sent them, and a final with seq n+1; so a reader that has the final knows whether it has
all. On `results`, which outlives the chunks, a stream's final with status 200 is *whole*: its value
repeats the chunks' bytes before its own last ones, and a reader of both passes on what it lacks.
A final above the part size comes as parts `1/m` .. `m/m` of the same seq, in order, in one
partition; header fields stand on every part.
"""

from collections.abc import Callable
from typing import cast

import msgspec

from headrace.schemas.headers import H
from headrace.schemas.names import (
    DEFAULT_TENANT,
    DeploymentName,
    InstanceId,
    Outcome,
    RequestId,
    Tenant,
)
from headrace.schemas.records import SPEC_VERSION
from headrace.schemas.wire import (
    Headers,
    MalformedRecord,
    header_number,
    header_text,
    header_word,
    read_headers,
)

REPLY_TYPE = b"headrace.reply"
CANCEL_TYPE = b"headrace.cancel"
PART_BYTES = 512 * 1024

_TYPE = ("ce_type", REPLY_TYPE)
_SPEC = ("ce_specversion", SPEC_VERSION)
_FINAL = ("headrace-final", b"1")
_WHOLE = (H.WHOLE.value, b"1")
_NO_OUTCOME = ("headrace-outcome", b"")
_OUTCOME = {word: ("headrace-outcome", word.value.encode()) for word in Outcome}
_request_id = cast("Callable[[bytes], RequestId]", header_text)
_instance = cast("Callable[[bytes], InstanceId]", header_word)
_tenant = cast("Callable[[bytes], Tenant]", header_word)
_DEFAULT_TENANT = DEFAULT_TENANT.encode()
_upstream = cast("Callable[[bytes], DeploymentName]", header_word)
_OUTCOMES = {word.value.encode(): word for word in Outcome}


class Reply(msgspec.Struct, kw_only=True):
    """One reply record. Chunks fill only the first six fields; the rest describes a final.

    The first chunk also tells `queue_ms` and `upstream`, for whoever answers before the final is there.
    """

    id: RequestId
    body: bytes
    seq: int = 1
    attempt: int = 1
    instance: InstanceId | None = None
    source: bytes = b""
    """The process that wrote it, as read; a writer names itself to `encode`."""
    content_type: bytes = b"application/json"
    final: bool = False
    whole: bool = False
    """True on a stream's final whose body begins with the bytes of all its chunks."""
    part: tuple[int, int] = (1, 1)
    status: int = 200
    outcome: Outcome | None = None
    code: str = ""
    """Stable code of an error made by Headrace; empty for an upstream's own answer."""
    retry_after_ms: int = 0
    attempts: int = 0
    """Upstream calls made for this request, all dispatchers together."""
    queue_ms: int = 0
    upstream: DeploymentName = DeploymentName("")
    upstream_headers: bytes = b""
    """JSON object of the response headers that are passed on; empty for none."""


def encode(reply: Reply, source: bytes) -> list[tuple[str, bytes]]:
    """The headers of `reply`; the value is `reply.body`, the key the id."""
    out: list[tuple[str, bytes]] = [
        ("ce_id", reply.id.encode()),
        _TYPE,
        ("ce_source", source),
        _SPEC,
        ("headrace-seq", b"%d" % reply.seq),
        ("headrace-attempt", b"%d" % reply.attempt),
    ]
    if reply.instance is not None:
        out.append(("headrace-reply-instance", reply.instance.encode()))
    if reply.final:
        out += _final(reply)
    elif reply.upstream and reply.seq == 1:
        out += _begun(reply)
    return out


def _begun(reply: Reply) -> list[tuple[str, bytes]]:
    return [
        ("headrace-queue-ms", b"%d" % reply.queue_ms),
        ("headrace-upstream", reply.upstream.encode()),
    ]


def _final(reply: Reply) -> list[tuple[str, bytes]]:
    out: list[tuple[str, bytes]] = [
        _FINAL,
        ("headrace-status", b"%d" % reply.status),
        _OUTCOME[reply.outcome] if reply.outcome else _NO_OUTCOME,
        ("content-type", reply.content_type),
        ("headrace-attempt-count", b"%d" % reply.attempts),
        *_begun(reply),
    ]
    if reply.whole:
        out.append(_WHOLE)
    if reply.part != (1, 1):
        out.append((H.PART.value, b"%d/%d" % reply.part))
    if reply.code:
        out.append((H.CODE.value, reply.code.encode()))
    if reply.retry_after_ms:
        out.append((H.RETRY_AFTER_MS.value, b"%d" % reply.retry_after_ms))
    if reply.upstream_headers:
        out.append((H.UPSTREAM_HEADERS.value, reply.upstream_headers))
    return out


def decode(value: bytes | None, headers: Headers) -> Reply:
    """Read a reply record. Only dispatchers write these. Raises `MalformedRecord`."""
    known = dict(headers)
    get = known.get
    try:
        instance = get("headrace-reply-instance")
        reply = Reply(
            id=_request_id(known["ce_id"]),
            body=value or b"",
            seq=int(known["headrace-seq"]),
            attempt=int(get("headrace-attempt", b"1")),
            instance=_instance(instance) if instance else None,
            source=get("ce_source", b""),
        )
        if get("headrace-final") == b"1":
            _read_final(reply, known)
        elif reply.seq == 1:
            _read_begun(reply, known)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise MalformedRecord("reply_header_invalid", repr(error)) from error
    return reply


def _read_final(reply: Reply, known: dict[str, bytes]) -> None:
    get = known.get
    reply.final = True
    reply.status = int(known["headrace-status"])
    outcome = known["headrace-outcome"]
    reply.outcome = _OUTCOMES[outcome] if outcome else None
    reply.content_type = get("content-type", b"application/json")
    reply.attempts = int(get("headrace-attempt-count", b"0"))
    _read_begun(reply, known)
    reply.upstream_headers = get("headrace-upstream-headers", b"")
    reply.whole = "headrace-whole" in known
    if "headrace-code" in known:
        reply.code = known["headrace-code"].decode()
    if "headrace-retry-after-ms" in known:
        reply.retry_after_ms = int(known["headrace-retry-after-ms"])
    if "headrace-part" in known:
        i, _, n = known["headrace-part"].partition(b"/")
        reply.part = (int(i), int(n))


def _read_begun(reply: Reply, known: dict[str, bytes]) -> None:
    reply.queue_ms = int(known.get("headrace-queue-ms", b"0"))
    reply.upstream = _upstream(known.get("headrace-upstream", b""))


class Cancel(msgspec.Struct, frozen=True):
    """A record on `control`: do not start this request of this tenant, abort it if it runs.

    Forgotten after `deadline_ms`. A record that names no tenant is of the default one, as a request's is.
    """

    id: RequestId
    deadline_ms: int
    tenant: Tenant = DEFAULT_TENANT


def encode_cancel(cancel: Cancel, source: bytes) -> list[tuple[str, bytes]]:
    """The headers of a cancel; its value is empty, its key the request id."""
    return [
        (H.ID.value, cancel.id.encode()),
        (H.TYPE.value, CANCEL_TYPE),
        (H.SOURCE.value, source),
        (H.SPEC.value, SPEC_VERSION),
        (H.TENANT.value, cancel.tenant.encode()),
        (H.DEADLINE_MS.value, b"%d" % cancel.deadline_ms),
    ]


def decode_cancel(headers: Headers) -> Cancel:
    """Read a cancel. Raises `MalformedRecord`."""
    known = read_headers(headers)
    try:
        request_id = _request_id(known["ce_id"])
        deadline_ms = header_number(known["headrace-deadline-ms"])
        tenant = _tenant(known.get("headrace-tenant") or _DEFAULT_TENANT)
    except (AttributeError, KeyError, ValueError) as error:
        raise MalformedRecord("cancel_header_invalid", repr(error)) from error
    if not request_id:
        raise MalformedRecord("cancel_header_invalid", "a cancel needs a request id")
    return Cancel(request_id, deadline_ms, tenant)
