"""Admit: the one choke point. Every rule about who may ask for what stands here, and decides purely.

Two steps, because a body is read only from somebody who may send one: `admit_head` judges the
headers, `admit` the whole request. Both return what to go on with, or a `Refusal`.
"""

import re
from collections.abc import Mapping

from headrace.ingress import body as request_body
from headrace.ingress import manner
from headrace.ingress.policy import DEFAULT_LANE, AdmissionPolicy, Caller, Lane
from headrace.ingress.refusal import Refusal
from headrace.schemas import keys
from headrace.schemas.errors import Code
from headrace.schemas.headers import MAX_VALUE_BYTES
from headrace.schemas.names import Endpoint, ModelName, RequestId
from headrace.schemas.records import JSON_TYPE, ReplyTo, RequestRecord
from headrace.telemetry.traces import TRACEPARENT

HttpHeaders = Mapping[bytes, bytes]
"""Names in lower case, as ASGI gives them."""

_CONTROL = re.compile(rb"[\x00-\x1f\x7f]")
_OURS = (
    *(b"headrace-lane", b"headrace-deadline-ms", b"headrace-timeout", b"traceparent"),
    *manner.HEADERS,
)


def admit_head(
    policy: AdmissionPolicy, headers: HttpHeaders, known: Caller | None = None
) -> Caller | Refusal:
    """Judge a request before its body is read. `known`: whose its `Authorization` header is."""
    caller = known or authenticate(policy, headers.get(b"authorization", b""))
    if isinstance(caller, Refusal):
        return caller
    content_type = headers.get(b"content-type", b"")
    if content_type != JSON_TYPE and not _is_json(content_type):
        return Refusal(Code.INVALID_CONTENT_TYPE, "The body must be sent as application/json.")
    length = headers.get(b"content-length")
    if length is not None and int(length) > policy.max_body_bytes:
        return too_large(policy)
    for name in _OURS:
        value = headers.get(name)
        if value is not None and (len(value) > MAX_VALUE_BYTES or _CONTROL.search(value)):
            text = name.decode()
            return Refusal(Code.INVALID_HEADER, f"The header {text} is not printable text.", text)
    return caller


def authenticate(policy: AdmissionPolicy, authorization: bytes) -> Caller | Refusal:
    """Who sends this `Authorization` header."""
    if policy.pepper is None:
        return policy.anybody
    scheme, _, secret = authorization.partition(b" ")
    key = secret.strip().decode("latin-1") if scheme.lower() == b"bearer" else ""
    tenant = keys.well_formed(key)
    known = policy.digests.get(tenant, ()) if tenant is not None else ()
    digest = keys.matching(key, policy.pepper, known)
    if not digest or tenant is None:
        return Refusal(Code.INVALID_API_KEY, "The API key is missing or not valid.")
    return policy.limited.get(digest) or policy.callers[tenant]


def too_large(policy: AdmissionPolicy) -> Refusal:
    """A body above the limit, declared or counted."""
    return Refusal(Code.RECORD_TOO_LARGE, f"The body is larger than {policy.max_body_bytes} bytes.")


def admit(
    policy: AdmissionPolicy,
    caller: Caller,
    endpoint: Endpoint,
    headers: HttpHeaders,
    body: bytes,
    *,
    request_id: RequestId,
    now_ms: int,
    reply: ReplyTo,
) -> RequestRecord | Refusal:
    """Make the record of a request, or say why there is none. `now_ms` is broker time."""
    try:
        routing = request_body.read(body)
    except request_body.Unreadable as error:
        code = Code.INVALID_JSON if error.malformed else Code.INVALID_REQUEST
        return Refusal(code, str(error), error.param)
    lane = policy.lanes.get(headers.get(b"headrace-lane", DEFAULT_LANE))
    refusal = _refuse_model(policy, caller, routing.model) or _refuse_lane(caller, lane)
    if refusal is not None:
        return refusal
    assert lane is not None  # noqa: S101 - _refuse_lane has just refused None
    deadline_ms = _deadline(lane, headers, now_ms)
    if isinstance(deadline_ms, Refusal):
        return deadline_ms
    traceparent = headers.get(b"traceparent", b"")
    record = RequestRecord(
        id=request_id,
        body=body,
        tenant=caller.tenant,
        key_name=caller.key_name,
        lane=lane.name,
        endpoint=endpoint,
        model=ModelName(routing.model),
        stream=routing.stream is True,
        deadline_ms=deadline_ms,
        accepted_ms=now_ms,
        reply=reply,
        traceparent=traceparent if TRACEPARENT.fullmatch(traceparent) else b"",
    )
    return record if manner.HEADERS.isdisjoint(headers) else _in_its_manner(record, headers)


def _in_its_manner(record: RequestRecord, headers: HttpHeaders) -> RequestRecord | Refusal:
    told = manner.read(headers, record.accepted_ms, record.deadline_ms)
    if isinstance(told, Refusal):
        return told
    record.kind, record.not_before_ms = told.kind, told.not_before_ms
    record.idempotency_key, record.ambiguous = told.key, told.ambiguous
    return record


def _is_json(content_type: bytes) -> bool:
    return content_type.partition(b";")[0].strip().lower() == JSON_TYPE


def _refuse_model(policy: AdmissionPolicy, caller: Caller, model: str) -> Refusal | None:
    if model in caller.models:
        return None
    if not model:
        return Refusal(Code.MODEL_REQUIRED, "The body names no model.", "model")
    if model in policy.models:
        return Refusal(Code.FORBIDDEN, "This tenant may not use that model.", "model")
    return Refusal(Code.MODEL_NOT_FOUND, f"The model {model[:100]!r} does not exist.", "model")


def _refuse_lane(caller: Caller, lane: Lane | None) -> Refusal | None:
    if lane is None:
        return Refusal(Code.UNKNOWN_LANE, "No lane has this name.", "headrace-lane")
    if lane.name not in caller.lanes:
        return Refusal(
            Code.FORBIDDEN, f"This tenant may not use the lane {lane.name}.", "headrace-lane"
        )
    return None


def _deadline(lane: Lane, headers: HttpHeaders, now_ms: int) -> int | Refusal:
    """The absolute deadline: told as such, or as a timeout, or the lane's own."""
    absolute = headers.get(b"headrace-deadline-ms")
    if absolute is not None:
        told = int(absolute) if absolute.isdigit() and len(absolute) <= 15 else 0
        return _within(lane, told, now_ms, "headrace-deadline-ms")
    timeout = headers.get(b"headrace-timeout")
    if timeout is not None:
        return _within(lane, now_ms + _milliseconds(timeout), now_ms, "headrace-timeout")
    return now_ms + lane.deadline_ms


def _within(lane: Lane, deadline_ms: int, now_ms: int, header: str) -> int | Refusal:
    if now_ms < deadline_ms <= now_ms + lane.longest_ms:
        return deadline_ms
    longest_s = lane.longest_ms // 1000
    return Refusal(
        Code.INVALID_DEADLINE,
        f"{header} must lie in the future, at most {longest_s} s ahead on lane {lane.name}.",
        header,
    )


_SECONDS = re.compile(rb"\d{1,9}(\.\d{1,9})?")


def _milliseconds(seconds: bytes) -> int:
    """A timeout as milliseconds, 0 where it is none."""
    return round(float(seconds) * 1000) if _SECONDS.fullmatch(seconds) else 0
