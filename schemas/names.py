"""The words of the wire: identifiers, endpoints, outcomes. Every other module speaks in these."""

from enum import StrEnum
from typing import NewType

RequestId = NewType("RequestId", str)
"""UUIDv7 from ingress; any printable string of a producer's own; else `<topic>-<partition>-<offset>`."""

Tenant = NewType("Tenant", str)
LaneName = NewType("LaneName", str)
ModelName = NewType("ModelName", str)
DeploymentName = NewType("DeploymentName", str)
KeyName = NewType("KeyName", str)
"""Of an API key that has limits of its own."""
NO_KEY = KeyName("")
"""Of all other keys."""
InstanceId = NewType("InstanceId", str)
"""One per ingress process: who waits for an answer."""

DEFAULT_TENANT = Tenant("default")
"""The tenant of a record, or of a caller under `auth: open`, that names none."""

Identity = tuple[Tenant, RequestId]
"""What makes a request one of its own: producers choose ids, so two tenants may use the same."""


class Endpoint(StrEnum):
    """What the client called; the value is the path below the API's base URL."""

    CHAT = "chat/completions"
    COMPLETIONS = "completions"
    EMBEDDINGS = "embeddings"


class Kind(StrEnum):
    """A request that outlives its connection: its states are on `status`, its answer on `results`.

    A record without a kind is plain: whoever waits for it is all that knows of it.
    """

    JOB = "job"
    """Submitted; nobody waits on a connection."""
    KEYED = "keyed"
    """Carries an idempotency key."""
    RESUMABLE = "resumable"
    """The client asked to be able to come back for the answer."""


class Ambiguous(StrEnum):
    """What becomes of a call that may or may not have reached the upstream when its process died."""

    RETRY = "retry"
    FAIL = "fail"
    PARK = "park"


class Outcome(StrEnum):
    """The terminal states of a request (P1): each request reaches exactly one."""

    COMPLETED = "completed"
    FAILED = "failed"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    DEAD_LETTERED = "dead_lettered"
