"""A request as the dispatcher holds it: the record, where it stands, and what was tried so far."""

from collections.abc import Mapping

import msgspec

from headrace.dispatcher.tenure import Tenure
from headrace.schemas.names import DeploymentName, Endpoint, LaneName, ModelName, RequestId
from headrace.schemas.records import Attempt, Headers, RequestRecord
from headrace.schemas.retries import Source


class Waiting(msgspec.Struct, kw_only=True, eq=False):
    """One request between its read and its outcome. Times are epoch ms by the broker's clock."""

    record: RequestRecord
    headers: Headers
    """As read, for retries and dead letters."""
    offset: int
    tenure: Tenure
    source: Source
    lane: LaneName
    model: ModelName
    endpoint: Endpoint
    stream: bool
    deadline_ms: int
    attempt: int
    """Number of the next or running call, from 1."""
    history: tuple[Attempt, ...]
    started: bool = False
    """Whether the journal knows a call of it: then this process finishes it, owner or not."""
    due_ms: int = 0
    """Not before this time, where it waits for one."""
    barred: Mapping[DeploymentName, int] = {}
    """Deployments that asked to be left alone, and until when."""
    first_call_ms: int = 0
    size: int = 0

    @property
    def id(self) -> RequestId:
        """The request id."""
        return self.record.id

    @property
    def ours(self) -> bool:
        """Whether this process may still run it: it owns the partition, or began before it lost it."""
        return self.started or self.tenure.owned

    @property
    def tried(self) -> frozenset[DeploymentName]:
        """Deployments it was sent to before."""
        return frozenset(attempt.deployment for attempt in self.history)


def unbarred_ms(waiting: Waiting, due_ms: int) -> int:
    """When a request that is due at `due_ms` may go to any deployment.

    For one that leaves this process: the next one does not know who asked to be left alone. What
    is barred to the deadline is barred for good, and not waited for.
    """
    return max(due_ms, *(at for at in waiting.barred.values() if at < waiting.deadline_ms), 0)
