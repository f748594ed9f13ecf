"""Records on `status`: the states of requests that outlive their connection.

Key `<tenant>/<id>`; one JSON array a record. All records of an id are in one partition, and the order
there decides: the first `Terminal` is the request's outcome, whoever wrote it (P2); later ones are
dropped and counted. `Queued` may come after the others, as it is written beside the request itself.
"""

from typing import Annotated, Literal

import msgspec

from headrace.schemas.names import (
    DeploymentName,
    Endpoint,
    InstanceId,
    Kind,
    LaneName,
    ModelName,
    Outcome,
    RequestId,
    Tenant,
)
from headrace.schemas.topics import INDEXED_PARTITIONS, murmur2
from headrace.schemas.values import read_value

Number = Annotated[int, msgspec.Meta(ge=0, lt=2**53)]
"""What every reader, a database or a page, can hold."""
By = Literal["dispatcher", "sweeper", "api"]
"""Who ended a request."""


class Queued(msgspec.Struct, frozen=True, array_like=True, kw_only=True, tag="queued"):
    """The request was accepted. Times are epoch ms by the broker's clock."""

    tenant: Tenant
    id: RequestId
    kind: Kind
    model: ModelName
    lane: LaneName
    endpoint: Endpoint
    stream: bool
    accepted_ms: Number
    deadline_ms: Number
    reply_partition: Number
    """Where its chunks are on `replies`, and its answer on `results`."""
    not_before_ms: Number = 0
    instance: InstanceId = InstanceId("")
    """The ingress process that accepted it."""


class Running(msgspec.Struct, frozen=True, array_like=True, kw_only=True, tag="running"):
    """An attempt began; said again when its first chunk is in Kafka."""

    tenant: Tenant
    id: RequestId
    attempt: Number
    deployment: DeploymentName
    source: str
    """The process that calls, as replies name it (`ce_source`)."""
    chunks: tuple[Number, Number] | None = None
    """Partition and offset on `replies` of the attempt's first chunk."""


class Terminal(msgspec.Struct, frozen=True, array_like=True, kw_only=True, tag="terminal"):
    """The request has ended, if this is the first one of its id."""

    tenant: Tenant
    id: RequestId
    outcome: Outcome
    status: Number
    """HTTP status of the answer."""
    code: str = ""
    """Stable code of an error made by Headrace; empty for an upstream's own answer."""
    attempt: Number = 0
    """The attempt that the answer is of; 0 where there was none."""
    attempts: Number = 0
    """Upstream calls made for the request."""
    queue_ms: Number = 0
    upstream: str = ""
    """The deployment that answered."""
    result: tuple[Number, Number, Number] | None = None
    """Partition, offset and number of parts on `results`; None: the answer is made from the code."""
    by: By = "dispatcher"


Status = Queued | Running | Terminal

_status = msgspec.json.Decoder(Status)
_encode = msgspec.json.Encoder().encode


def status_key(tenant: Tenant, request_id: RequestId) -> bytes:
    """Key of all records of a request."""
    return f"{tenant}/{request_id}".encode()


def indexed_partition(key: bytes) -> int:
    """The partition of `status` or `claims` where records with this key are."""
    return murmur2(key) % INDEXED_PARTITIONS


def encode(status: Status) -> bytes:
    """The value of a record."""
    return _encode(status)


def decode(value: bytes) -> Status:
    """Read a record. Raises `msgspec.MsgspecError`."""
    status: Status = read_value(_status, value)
    return status
