"""Request records: the headers of a lane record, read and written as pure functions.

Value: the client's body, byte for byte; never parsed and rebuilt on the way. A record with only a
body and a reply topic is complete: everything else has a default. Unknown headers are ignored, so
a newer producer does not break an older dispatcher.

Wire shape of headers: a sequence of (name, bytes), as aiokafka and confluent-kafka give them.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache

import msgspec

from headrace.schemas.headers import ALIASES, MAX_HISTORY_BYTES, MAX_VALUE_BYTES, H
from headrace.schemas.names import (
    DEFAULT_TENANT,
    DeploymentName,
    Endpoint,
    InstanceId,
    LaneName,
    ModelName,
    RequestId,
    Tenant,
)

Headers = Sequence[tuple[str, bytes]]
REQUEST_TYPE = b"headrace.request"
SPEC_VERSION = b"1.0"
JSON_TYPE = b"application/json"


class MalformedRecord(ValueError):
    """A record whose headers or body cannot be read; `code` is the stable error code."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Attempt(msgspec.Struct, frozen=True, array_like=True):
    """One finished attempt, as kept in a record's history (epoch ms, names, codes: no bodies)."""

    number: int
    at_ms: int
    deployment: DeploymentName
    status: int
    """HTTP status, 0 when none was received."""
    code: str
    counted: bool = True
    """False where the attempt does not use up the allowance: throttled, or lost in a crash."""


class ReplyTo(msgspec.Struct, frozen=True):
    """Where the answer goes. `partition` None: by key, which is the request id."""

    topic: str
    partition: int | None = None
    instance: InstanceId | None = None


class RequestRecord(msgspec.Struct, kw_only=True):
    """A request as it waits in a lane or a delay topic. Times are epoch ms by the broker's clock."""

    id: RequestId
    body: bytes
    tenant: Tenant = DEFAULT_TENANT
    lane: LaneName = LaneName("")
    endpoint: Endpoint | None = None
    model: ModelName = ModelName("")
    stream: bool | None = None
    """None: not told by a header, read from the body."""
    deadline_ms: int = 0
    """0: none told; the lane's default counts from the record's timestamp."""
    attempt: int = 1
    due_ms: int = 0
    accepted_ms: int = 0
    """0: the record's own timestamp."""
    reply: ReplyTo | None = None
    history: tuple[Attempt, ...] = ()
    traceparent: bytes = b""
    idempotency_key: str = ""
    body_sha256: str = ""
    content_type: bytes = JSON_TYPE
    replays: int = 0


_history = msgspec.json.Decoder(tuple[Attempt, ...])
_encode_json = msgspec.json.Encoder().encode


def encode(record: RequestRecord, source: bytes) -> list[tuple[str, bytes]]:
    """The headers of `record`; `source` names the process that writes them. The value is `record.body`."""
    out: list[tuple[str, bytes]] = [
        ("ce_id", record.id.encode()),
        ("ce_type", REQUEST_TYPE),
        ("ce_source", source),
        ("ce_specversion", SPEC_VERSION),
        ("ce_time", rfc3339(record.accepted_ms)),
        ("content-type", record.content_type),
        ("headrace-tenant", record.tenant.encode()),
        ("headrace-lane", record.lane.encode()),
        ("headrace-model", record.model.encode()),
        ("headrace-deadline-ms", b"%d" % record.deadline_ms),
    ]
    if record.stream is not None:
        out.append(("headrace-stream", b"1" if record.stream else b"0"))
    if record.endpoint is not None:
        out.append(("headrace-endpoint", record.endpoint.value.encode()))
    if record.reply is not None:
        out.append(("headrace-reply-topic", record.reply.topic.encode()))
        if record.reply.partition is not None:
            out.append(("headrace-reply-partition", b"%d" % record.reply.partition))
        if record.reply.instance is not None:
            out.append(("headrace-reply-instance", record.reply.instance.encode()))
    if record.traceparent:
        out.append(("traceparent", record.traceparent))
    if record.attempt != 1 or record.history:
        out.append(("headrace-attempt", b"%d" % record.attempt))
        out.append(("headrace-attempts", encode_history(record.history)))
    out += _rare(record)
    return out


def _rare(record: RequestRecord) -> list[tuple[str, bytes]]:
    out: list[tuple[str, bytes]] = []
    if record.due_ms:
        out.append((H.DUE_MS.value, b"%d" % record.due_ms))
    if record.idempotency_key:
        out.append((H.IDEMPOTENCY_KEY.value, record.idempotency_key.encode()))
    if record.body_sha256:
        out.append((H.BODY_SHA256.value, record.body_sha256.encode()))
    if record.replays:
        out.append((H.REPLAYS.value, b"%d" % record.replays))
    return out


def encode_history(history: tuple[Attempt, ...]) -> bytes:
    """The attempts as JSON, the oldest left out where it would pass `MAX_HISTORY_BYTES`."""
    encoded = _encode_json(history)
    while len(encoded) > MAX_HISTORY_BYTES:
        history = history[1:]
        encoded = _encode_json(history)
    return encoded


def decode(
    value: bytes | None, headers: Headers, *, topic: str, partition: int, offset: int
) -> RequestRecord:
    """Read a lane or delay record. Raises `MalformedRecord`, never anything else."""
    if value is None:
        raise MalformedRecord("record_empty", "the record has no value")
    known = read_headers(headers)
    get = known.get
    try:
        record_id = get("ce_id")
        endpoint = get("headrace-endpoint")
        stream = get("headrace-stream")
        return RequestRecord(
            id=RequestId(
                _text(record_id) if record_id else _own_id(known, topic, partition, offset)
            ),
            body=value,
            tenant=Tenant(_text(get("headrace-tenant", b"default"))),
            lane=LaneName(_text(get("headrace-lane", b""))),
            endpoint=Endpoint(endpoint.decode()) if endpoint else None,
            model=ModelName(_text(get("headrace-model", b""))),
            stream=None if stream is None else stream == b"1",
            deadline_ms=_number(get("headrace-deadline-ms")),
            attempt=_number(get("headrace-attempt"), 1),
            due_ms=_number(get("headrace-due-ms")),
            accepted_ms=_number(get("headrace-accepted-ms")),
            reply=read_reply_to(known),
            history=_history.decode(known["headrace-attempts"])
            if "headrace-attempts" in known
            else (),
            traceparent=get("traceparent", b""),
            idempotency_key=_text(get("headrace-idempotency-key", b"")),
            body_sha256=_text(get("headrace-body-sha256", b"")),
            content_type=get("content-type", JSON_TYPE),
            replays=_number(get("headrace-replays")),
        )
    except MalformedRecord:
        raise
    except (ValueError, msgspec.MsgspecError) as error:
        raise MalformedRecord("record_header_invalid", str(error)) from error


@lru_cache(maxsize=8)
def _rfc3339_second(epoch_s: int) -> bytes:
    return datetime.fromtimestamp(epoch_s, UTC).strftime("%Y-%m-%dT%H:%M:%S").encode()


def rfc3339(at_ms: int) -> bytes:
    """Epoch ms as CloudEvents wants its times (RFC 3339, UTC, milliseconds)."""
    return b"%s.%03dZ" % (_rfc3339_second(at_ms // 1000), at_ms % 1000)


def read_headers(headers: Headers) -> dict[str, bytes]:
    """Headers by name, aliases resolved. Raises `MalformedRecord` on a repeated name of ours."""
    known = dict(headers)
    if len(known) != len(headers):
        names = [name for name, _ in headers if name.startswith(("headrace-", "ce_"))]
        if len(set(names)) != len(names):
            raise MalformedRecord("record_header_repeated", "a header of ours stands twice")
    for alias, name in ALIASES.items():
        if alias in known:
            known.setdefault(str(name), known[alias])
    return known


def _own_id(known: dict[str, bytes], topic: str, partition: int, offset: int) -> str:
    """The id of a record that has none: where it stands, or, for a retry of it, where it first stood."""
    if "headrace-source-topic" in known:
        topic = _text(known["headrace-source-topic"])
        partition = _number(known.get("headrace-source-partition"))
        offset = _number(known.get("headrace-source-offset"))
    return f"{topic}-{partition}-{offset}"


def read_reply_to(known: dict[str, bytes]) -> ReplyTo | None:
    """The address of the answer, if there is one. Raises `MalformedRecord` or `ValueError`."""
    topic = known.get("headrace-reply-topic")
    if not topic:
        return None
    partition = known.get("headrace-reply-partition")
    instance = known.get("headrace-reply-instance")
    return ReplyTo(
        topic=_text(topic),
        partition=None if partition is None else _partition(partition),
        instance=None if instance is None else InstanceId(_text(instance)),
    )


def _partition(value: bytes) -> int:
    if len(value) == 4 and not value.isdigit():
        return int.from_bytes(value, "big", signed=True)
    return _number(value)


def _number(value: bytes | None, default: int = 0) -> int:
    if value is None:
        return default
    if not value.isdigit() or len(value) > 15:
        raise MalformedRecord("record_header_invalid", f"not a whole number: {value[:20]!r}")
    return int(value)


def _text(value: bytes) -> str:
    text = value.decode()
    if len(value) > MAX_VALUE_BYTES or not (text.isprintable() or not text):
        raise MalformedRecord("record_header_invalid", "a header is too long or has control characters")
    return text
