"""From a Kafka record to a request that waits, or to the reason why it never can. No I/O."""

import hashlib

import msgspec

from headrace.dispatcher.seen import Seen
from headrace.dispatcher.source_record import SourceRecord
from headrace.dispatcher.tenure import Tenure
from headrace.dispatcher.verdicts import Reason
from headrace.dispatcher.waiting import Waiting
from headrace.schemas.config.model import LaneConfig
from headrace.schemas.errors import Code
from headrace.schemas.handover import origin
from headrace.schemas.headers import H
from headrace.schemas.names import (
    DEFAULT_TENANT,
    DeploymentName,
    Endpoint,
    ModelName,
    RequestId,
    Tenant,
)
from headrace.schemas.records import (
    Attempt,
    MalformedRecord,
    ReplyTo,
    RequestRecord,
    decode,
    read_headers,
    read_reply_to,
)
from headrace.schemas.retries import Source, source_of
from headrace.schemas.wire import header_text

_ABSENT = msgspec.Raw(b"null")


class Routing(msgspec.Struct):
    """What a body tells about its route; everything else in it stays unread."""

    model: str = ""
    stream: bool | None = False
    messages: msgspec.Raw = _ABSENT
    input: msgspec.Raw = _ABSENT


_ROUTE = frozenset((H.MODEL.value, H.ENDPOINT.value, H.STREAM.value))
_routing = msgspec.json.Decoder(Routing)


class Unreadable(msgspec.Struct, frozen=True):
    """A record that can never run: why, and whoever can be told."""

    id: RequestId
    code: Code
    message: str
    reply: ReplyTo | None
    source: Source
    lasting_for: Tenant | None = None
    """Whose it is, if it has a kind: then its end is told on `status` too."""
    reason: Reason = Reason.REJECTED_RECORD
    lost: int = 0
    """The attempt that was lost last, of a record that ran before."""


def understand(record: SourceRecord, tenure: Tenure, lane: LaneConfig) -> Waiting | Unreadable:
    """Read a lane or delay record that `tenure` admitted."""
    try:
        request = decode(
            record.value,
            record.headers,
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
        )
        endpoint = _complete(request)
    except MalformedRecord as error:
        return _unreadable(record, str(error))
    source = _source(record)
    accepted_ms = max(source.timestamp_ms, request.not_before_ms)
    attempt, history = request.attempt, request.history
    lost = tenure.lost.get(record.offset)
    if lost is not None and abs(lost) >= attempt:
        history = (*history, lost_attempt(abs(lost), record.timestamp))
        attempt = abs(lost) + 1
    return Waiting(
        record=request,
        headers=record.headers,
        offset=record.offset,
        appended_ms=record.timestamp,
        tenure=tenure,
        source=source,
        lane=tenure.lane,
        model=request.model,
        endpoint=endpoint,
        parked=origin(record.headers, H.PARKED_FROM) if tenure.delay_ms else None,
        stream=bool(request.stream),
        by_deadline=lane.order == "edf",
        deadline_ms=request.deadline_ms or accepted_ms + round(lane.deadline_s * 1000),
        attempt=attempt,
        history=history,
        due_ms=request.due_ms or request.not_before_ms,
        size=len(request.body),
    )


def needs_decoding(record: SourceRecord) -> bool:
    """Whether the body must be read to know where the request goes."""
    return not {name for name, _ in record.headers} >= _ROUTE


def same_request(record: SourceRecord, seen: Seen) -> None:
    """Take note of the id of a record that does not run here."""
    try:
        known = decode(
            record.value,
            record.headers,
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
        )
    except MalformedRecord:
        return  # whoever runs it tells
    seen.look(known.tenant, known.id, known.replays, known.body)


def unseen(
    record: SourceRecord, code: Code, message: str, reason: Reason, *, lost: int = 0
) -> Unreadable:
    """Refuse a record whose body is not to be looked at, or is not the one that its id stands for.

    No state is told of it: the id may be that of another record, whose state it would end.
    """
    refused = _unreadable(record, message)
    lasting = refused.lasting_for if reason is Reason.CRASHED_WORKER else None
    return msgspec.structs.replace(
        refused, code=code, reason=reason, lasting_for=lasting, lost=lost
    )


def lost_attempt(number: int, at_ms: int) -> Attempt:
    """How a call that ended with its process stands in the history."""
    return Attempt(number, at_ms, DeploymentName(""), 0, "lost_in_crash", counted=False)


def _source(record: SourceRecord) -> Source:
    return source_of(
        record.headers,
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        key=record.key,
        timestamp_ms=record.timestamp,
    )


def _complete(request: RequestRecord) -> Endpoint:
    """Fill in from the body what no header told; returns the endpoint. Raises `MalformedRecord`."""
    if request.body_sha256 and hashlib.sha256(request.body).hexdigest() != request.body_sha256:
        raise MalformedRecord(
            "record_digest_mismatch", "the value is not what its digest header says"
        )
    if request.model and request.endpoint is not None and request.stream is not None:
        return request.endpoint
    try:
        body = _routing.decode(request.body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedRecord(
            "record_body_invalid", f"the value is not a request body: {error}"
        ) from error
    request.model = request.model or ModelName(header_text(body.model.encode()))
    if not request.model:
        raise MalformedRecord("record_model_missing", "neither a header nor the body names a model")
    if request.stream is None:
        request.stream = bool(body.stream)
    return request.endpoint or _endpoint(body)


def _endpoint(body: Routing) -> Endpoint:
    if body.messages != _ABSENT:
        return Endpoint.CHAT
    return Endpoint.COMPLETIONS if body.input == _ABSENT else Endpoint.EMBEDDINGS


def _unreadable(record: SourceRecord, message: str) -> Unreadable:
    reply: ReplyTo | None = None
    tenant: Tenant | None = None
    request_id = f"{record.topic}-{record.partition}-{record.offset}"
    try:
        known = read_headers(record.headers)
        reply = read_reply_to(known)
        own_id = known.get("ce_id")  # null is possible
        request_id = own_id.decode() if own_id else request_id
        if known.get(H.KIND.value):
            tenant = Tenant(header_text(known.get(H.TENANT.value) or DEFAULT_TENANT.encode()))
    except (MalformedRecord, ValueError):
        reply = None  # not even an address can be read: the dead letter is all there is
    return Unreadable(
        RequestId(request_id), Code.UNPROCESSABLE_RECORD, message, reply, _source(record), tenant
    )
