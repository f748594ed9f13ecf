"""Request records: the headers of a lane record, read and written as pure functions.

Value: the client's body, byte for byte; never parsed and rebuilt on the way. A record with only a
body and a reply topic is complete: everything else has a default. Unknown headers are ignored, so
a newer producer does not break an older dispatcher. A header that is empty or null counts as missing.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import cast

import msgspec

from headrace.schemas.headers import MAX_HISTORY_BYTES, H
from headrace.schemas.names import (
    DEFAULT_TENANT,
    NO_KEY,
    Ambiguous,
    DeploymentName,
    Endpoint,
    InstanceId,
    KeyName,
    Kind,
    LaneName,
    ModelName,
    RequestId,
    Tenant,
)
from headrace.schemas.wire import (
    Headers,
    MalformedRecord,
    header_number,
    header_text,
    header_word,
    read_headers,
    rfc3339,
)

__all__ = [
    "JSON_TYPE",
    "REQUEST_TYPE",
    "SPEC_VERSION",
    "Attempt",
    "Headers",
    "MalformedRecord",
    "ReplyTo",
    "RequestRecord",
    "decode",
    "encode",
    "encode_history",
    "read_headers",
    "read_reply_to",
]

REQUEST_TYPE = b"headrace.request"
SPEC_VERSION = b"1.0"
JSON_TYPE = b"application/json"


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
    key_name: KeyName = NO_KEY
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
    kind: Kind | None = None
    not_before_ms: int = 0
    ambiguous: Ambiguous | None = None
    """None: as the model's setting says."""


_history = msgspec.json.Decoder(tuple[Attempt, ...])
_encode_json = msgspec.json.Encoder().encode
_TYPE = ("ce_type", REQUEST_TYPE)
_SPEC = ("ce_specversion", SPEC_VERSION)
_STREAM = {True: ("headrace-stream", b"1"), False: ("headrace-stream", b"0")}
_ENDPOINT = {word: ("headrace-endpoint", word.value.encode()) for word in Endpoint}
_DEFAULT = DEFAULT_TENANT.encode()
_ENDPOINTS = {word.value.encode(): word for word in Endpoint}
_RARE = frozenset(
    name.value
    for name in (
        H.ATTEMPT,
        H.DUE_MS,
        H.ACCEPTED_MS,
        H.HISTORY,
        H.IDEMPOTENCY_KEY,
        H.BODY_SHA256,
        H.REPLAYS,
        H.KIND,
        H.NOT_BEFORE_MS,
        H.AMBIGUOUS,
        H.KEY_NAME,
    )
)


def encode(record: RequestRecord, source: bytes) -> list[tuple[str, bytes]]:
    """The headers of a new request; `source` names the process that writes them, the value is the body.

    What a retry adds to them is written by `retries.retry_headers`.
    """
    out: list[tuple[str, bytes]] = [
        ("ce_id", record.id.encode()),
        _TYPE,
        ("ce_source", source),
        _SPEC,
        ("ce_time", rfc3339(record.accepted_ms)),
        ("content-type", record.content_type),
        ("headrace-tenant", record.tenant.encode()),
        ("headrace-lane", record.lane.encode()),
        ("headrace-model", record.model.encode()),
        ("headrace-deadline-ms", b"%d" % record.deadline_ms),
    ]
    if record.stream is not None:
        out.append(_STREAM[record.stream])
    if record.endpoint is not None:
        out.append(_ENDPOINT[record.endpoint])
    if record.reply is not None:
        out += _address(record.reply)
    if record.traceparent:
        out.append(("traceparent", record.traceparent))
    if record.idempotency_key:
        out.append(("headrace-idempotency-key", record.idempotency_key.encode()))
    if record.body_sha256:
        out.append(("headrace-body-sha256", record.body_sha256.encode()))
    if record.kind is not None:
        out.append(("headrace-kind", record.kind.value.encode()))
    if record.not_before_ms:
        out.append(("headrace-not-before-ms", b"%d" % record.not_before_ms))
    if record.key_name or record.ambiguous is not None:
        out += _of_few(record)
    return out


def _of_few(record: RequestRecord) -> list[tuple[str, bytes]]:
    few = (("headrace-key-name", record.key_name), ("headrace-ambiguous", record.ambiguous))
    return [(name, text.encode()) for name, text in few if text]


@lru_cache(maxsize=1024)
def _address(reply: ReplyTo) -> list[tuple[str, bytes]]:
    """The same for every request of a process. The list is shared: copy it, never change it."""
    out = [("headrace-reply-topic", reply.topic.encode())]
    if reply.partition is not None:
        out.append(("headrace-reply-partition", b"%d" % reply.partition))
    if reply.instance is not None:
        out.append(("headrace-reply-instance", reply.instance.encode()))
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
    if (known.get("ce_specversion") or SPEC_VERSION) != SPEC_VERSION:
        raise MalformedRecord("record_header_invalid", "ce_specversion is not 1.0")
    try:
        endpoint = get("headrace-endpoint")
        stream = get("headrace-stream")
        own_id = get("ce_id")
        record = RequestRecord(
            id=_request_id(own_id) if own_id else _place_id(known, topic, partition, offset),
            body=value,
            tenant=_tenant(get("headrace-tenant") or _DEFAULT),
            lane=_lane(get("headrace-lane") or b""),
            endpoint=_ENDPOINTS[endpoint] if endpoint else None,
            model=_model(get("headrace-model") or b""),
            stream=stream == b"1" if stream else None,
            deadline_ms=header_number(get("headrace-deadline-ms") or b"0"),
            reply=read_reply_to(known),
            traceparent=get("traceparent") or b"",
            content_type=get("content-type") or JSON_TYPE,
        )
        if not known.keys().isdisjoint(_RARE):
            _read_rare(record, known)
    except MalformedRecord:
        raise
    except KeyError:
        raise MalformedRecord(
            "record_header_invalid", "headrace-endpoint is none we know"
        ) from None
    except (ValueError, RecursionError, msgspec.MsgspecError) as error:
        raise MalformedRecord("record_header_invalid", str(error)) from error
    return record


def _read_rare(record: RequestRecord, known: dict[str, bytes]) -> None:
    """Headers of retries and of few clients."""
    get = known.get
    record.attempt = header_number(get("headrace-attempt") or b"1")
    record.due_ms = header_number(get("headrace-due-ms") or b"0")
    record.accepted_ms = header_number(get("headrace-accepted-ms") or b"0")
    record.history = _history.decode(get("headrace-attempts") or b"[]")
    record.idempotency_key = header_text(get("headrace-idempotency-key") or b"")
    record.key_name = KeyName(header_word(get("headrace-key-name") or b""))
    record.body_sha256 = header_text(get("headrace-body-sha256") or b"")
    record.replays = header_number(get("headrace-replays") or b"0")
    record.not_before_ms = header_number(get("headrace-not-before-ms") or b"0")
    kind, ambiguous = get("headrace-kind"), get("headrace-ambiguous")
    record.kind = Kind(header_word(kind)) if kind else None
    record.ambiguous = Ambiguous(header_word(ambiguous)) if ambiguous else None


def _place_id(known: dict[str, bytes], topic: str, partition: int, offset: int) -> RequestId:
    """The id of a record that has none: where it stands, or, for a retry of it, where it first stood."""
    source = known.get("headrace-source-topic")
    if source:
        topic = header_text(source)
        partition = header_number(known.get("headrace-source-partition") or b"0")
        offset = header_number(known.get("headrace-source-offset") or b"0")
    return RequestId(f"{topic}-{partition}-{offset}")


def read_reply_to(known: dict[str, bytes]) -> ReplyTo | None:
    """The address of the answer, if there is one. Raises `MalformedRecord` or `ValueError`."""
    topic = known.get("headrace-reply-topic")
    if not topic:
        return None
    return _reply_to(
        topic, known.get("headrace-reply-partition"), known.get("headrace-reply-instance")
    )


@lru_cache(maxsize=1024)
def _reply_to(topic: bytes, partition: bytes | None, instance: bytes | None) -> ReplyTo:
    return ReplyTo(
        topic=header_text(topic),
        partition=_partition(partition) if partition else None,
        instance=InstanceId(header_text(instance)) if instance else None,
    )


def _partition(value: bytes) -> int:
    if len(value) == 4 and not value.isdigit():
        number = int.from_bytes(value, "big", signed=True)
        if number < 0:
            raise MalformedRecord("record_header_invalid", "a partition below zero")
        return number
    return header_number(value)


# `header_text` under the types of what it reads, as calling a NewType for each would cost as much again.
_request_id = cast("Callable[[bytes], RequestId]", header_text)
_tenant = cast("Callable[[bytes], Tenant]", header_word)
_lane = cast("Callable[[bytes], LaneName]", header_word)
_model = cast("Callable[[bytes], ModelName]", header_word)
