"""Judge a record of an inbox: the same rules as for HTTP, and that it borrows no right of ours. Pure.

A producer of an inbox cannot write to other topics. What we write for it must not lend it that: its
answer goes to topics named `out.<tenant>.` only, and it cannot pose as another tenant, as a retry, or
as an ingress process that waits.
"""

import hashlib
from collections.abc import Iterable
from typing import Protocol

import msgspec

from headrace.ingress import admission
from headrace.ingress.policy import AdmissionPolicy
from headrace.ingress.refusal import Refusal
from headrace.schemas.config.model import Config
from headrace.schemas.errors import Code
from headrace.schemas.headers import ALIASES, H
from headrace.schemas.names import Endpoint, RequestId, Tenant
from headrace.schemas.records import (
    Headers,
    MalformedRecord,
    ReplyTo,
    RequestRecord,
    decode,
    read_headers,
    read_reply_to,
)
from headrace.schemas.topics import Topics

_OURS = frozenset((*(name.value for name in H), *ALIASES))
_ABSENT = msgspec.Raw(b"null")


class InboxRecord(Protocol):
    """A record of an inbox as Kafka gives it."""

    @property
    def topic(self) -> str: ...
    @property
    def partition(self) -> int: ...
    @property
    def offset(self) -> int: ...
    @property
    def timestamp(self) -> int: ...
    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def headers(self) -> Headers: ...


class IntakePolicy(msgspec.Struct, frozen=True):
    """Who may write what, and where answers may go."""

    admission: AdmissionPolicy
    inboxes: dict[str, Tenant]
    """Tenant by topic."""
    prefix: str
    """Before the names of topics."""


def intake_policy(config: Config, admission: AdmissionPolicy) -> IntakePolicy | None:
    """The policy that `config` describes; None where no tenant has an inbox."""
    topics = Topics(config.kafka.topic_prefix)
    inboxes = {topics.inbox(name): name for name, told in config.tenants.items() if told.inbox}
    return IntakePolicy(admission, inboxes, topics.prefix) if inboxes else None


class Rejected(msgspec.Struct, frozen=True):
    """A record that is not written on: why, and who can be told."""

    id: RequestId
    code: Code
    message: str
    reply: ReplyTo | None


class _Routing(msgspec.Struct):
    messages: msgspec.Raw = _ABSENT
    input: msgspec.Raw = _ABSENT


_routing = msgspec.json.Decoder(_Routing)


def check(policy: IntakePolicy, written: InboxRecord) -> RequestRecord | Rejected:
    """The request as it is to be written on, or why not."""
    tenant = policy.inboxes[written.topic]
    try:
        told = decode(
            written.value,
            written.headers,
            topic=written.topic,
            partition=written.partition,
            offset=written.offset,
        )
    except MalformedRecord as error:
        request_id, reply = _whom_to_tell(policy, tenant, written)
        return Rejected(request_id, Code.UNPROCESSABLE_RECORD, str(error), reply)
    if told.reply is not None and not may_reply(policy, tenant, told.reply.topic):
        message = f"the reply topic must be named out.{tenant}.<name>"
        return Rejected(told.id, Code.FORBIDDEN, message, None)
    reply = None if told.reply is None else ReplyTo(told.reply.topic, told.reply.partition)
    if told.body_sha256 and hashlib.sha256(told.body).hexdigest() != told.body_sha256:
        message = "the value is not what its digest header says"
        return Rejected(told.id, Code.UNPROCESSABLE_RECORD, message, reply)
    found = _admit(policy.admission, tenant, told, reply, written.timestamp)
    if isinstance(found, Refusal):
        return Rejected(told.id, found.code, found.message, reply)
    return found


def may_reply(policy: IntakePolicy, tenant: Tenant, topic: str) -> bool:
    """Whether answers of `tenant` may go to `topic`. Names of tenants may contain dots, so the longest
    name that fits owns the topic: `out.a.b.x` is no topic of `a` where there is a tenant `a.b`.
    """
    stem = topic.removeprefix(policy.prefix)
    return tenant == _owner(stem, policy.admission.callers)


def _owner(stem: str, tenants: Iterable[Tenant]) -> Tenant | None:
    owners = [tenant for tenant in tenants if stem.startswith(f"out.{tenant}.")]
    return max(owners, key=len, default=None)


def foreign_headers(headers: Headers) -> list[tuple[str, bytes]]:
    """Headers that are the producer's own business; they travel on as they are."""
    return [(name, value) for name, value in headers if name not in _OURS]


def _admit(
    policy: AdmissionPolicy, tenant: Tenant, told: RequestRecord, reply: ReplyTo | None, now_ms: int
) -> RequestRecord | Refusal:
    if len(told.body) > policy.max_body_bytes:
        return admission.too_large(policy)
    endpoint = told.endpoint or endpoint_of(told.body)
    headers: dict[bytes, bytes] = {b"traceparent": told.traceparent}
    if told.lane:
        headers[b"headrace-lane"] = told.lane.encode()
    if told.deadline_ms:
        headers[b"headrace-deadline-ms"] = b"%d" % told.deadline_ms
    found = admission.admit(
        policy,
        policy.callers[tenant],
        endpoint,
        headers,
        told.body,
        request_id=told.id,
        now_ms=now_ms,
        reply=reply or _NOWHERE,
    )
    if isinstance(found, Refusal):
        return found
    if told.not_before_ms >= found.deadline_ms:
        return Refusal(Code.INVALID_NOT_BEFORE, "It may not be sent before its deadline.")
    found.reply = reply
    found.idempotency_key = told.idempotency_key
    found.body_sha256 = told.body_sha256
    found.content_type = told.content_type
    found.ambiguous = told.ambiguous
    found.not_before_ms = told.not_before_ms
    return found


_NOWHERE = ReplyTo("")


def endpoint_of(body: bytes) -> Endpoint:
    """The endpoint that a body is for; what cannot be read is refused later, with its reason."""
    try:
        routing = _routing.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return Endpoint.CHAT
    if routing.messages != _ABSENT:
        return Endpoint.CHAT
    return Endpoint.COMPLETIONS if routing.input == _ABSENT else Endpoint.EMBEDDINGS


def _whom_to_tell(
    policy: IntakePolicy, tenant: Tenant, written: InboxRecord
) -> tuple[RequestId, ReplyTo | None]:
    place = f"{written.topic}-{written.partition}-{written.offset}"
    try:
        known = read_headers(written.headers)
        reply = read_reply_to(known)
        own_id = known.get("ce_id")
        request_id = RequestId(own_id.decode() if own_id else place)
    except (MalformedRecord, ValueError):
        return RequestId(place), None  # not even an address can be read
    if reply is None or not may_reply(policy, tenant, reply.topic):
        return request_id, None
    return request_id, ReplyTo(reply.topic, reply.partition)
