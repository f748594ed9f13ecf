"""Records on `claims`: who was first with an idempotency key, and who takes up an answer left behind.

One JSON array a record; the order of the partition decides. The first `Claim` of a key wins, and its
place gives the request its id, so that every reader knows the id without asking. An `Orphan` is left
by a connection that broke; the first `Attach` after it takes it, once.
"""

import uuid

import msgspec

from headrace.schemas.names import Endpoint, InstanceId, LaneName, ModelName, RequestId, Tenant
from headrace.schemas.status import Number
from headrace.schemas.values import read_value

NAMESPACE = uuid.UUID("5b0a8a3e-7d0f-5f0e-9c53-2f6f1c6f8f11")
"""Of the ids of keyed requests. Never changed: ids would no longer be found."""


class Claim(msgspec.Struct, frozen=True, array_like=True, kw_only=True, tag="claim"):
    """Wants to be the request of this key."""

    tenant: Tenant
    key: str
    digest: str
    """SHA-256 of the body in hex; a repeat with another one is refused."""
    lane: LaneName
    model: ModelName
    instance: InstanceId
    deadline_ms: Number


class Orphan(msgspec.Struct, frozen=True, array_like=True, kw_only=True, tag="orphan"):
    """The connection broke; the request runs on, and a repeat of it may have the answer."""

    tenant: Tenant
    endpoint: Endpoint
    digest: str
    id: RequestId
    instance: InstanceId
    deadline_ms: Number


class Attach(msgspec.Struct, frozen=True, array_like=True, kw_only=True, tag="attach"):
    """Takes up the orphan `id`."""

    tenant: Tenant
    endpoint: Endpoint
    digest: str
    id: RequestId
    instance: InstanceId


Entry = Claim | Orphan | Attach

_entry = msgspec.json.Decoder(Entry)
_encode = msgspec.json.Encoder().encode


def claim_key(tenant: Tenant, key: str) -> bytes:
    """Record key of the claims of one idempotency key."""
    return f"{tenant}/{key}".encode()


def orphan_key(tenant: Tenant, endpoint: Endpoint, digest: str) -> bytes:
    """Record key of the orphans of equal requests, and of what takes them up."""
    return f"{tenant}/{endpoint}/{digest}".encode()


def entry_key(entry: Entry) -> bytes:
    """Record key of any entry."""
    if isinstance(entry, Claim):
        return claim_key(entry.tenant, entry.key)
    return orphan_key(entry.tenant, entry.endpoint, entry.digest)


def claimed_id(partition: int, offset: int) -> RequestId:
    """Id of the request whose claim stands there (UUIDv5)."""
    return RequestId(str(uuid.uuid5(NAMESPACE, f"{partition}-{offset}")))


def encode(entry: Entry) -> bytes:
    """The value of a record."""
    return _encode(entry)


def decode(value: bytes) -> Entry:
    """Read a record. Raises `msgspec.MsgspecError`."""
    entry: Entry = read_value(_entry, value)
    return entry
