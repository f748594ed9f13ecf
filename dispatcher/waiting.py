"""A request as the dispatcher holds it: the record, where it stands, and what was tried so far."""

from collections.abc import Mapping

import msgspec

from headrace.dispatcher.tenure import Tenure
from headrace.schemas.bounds import Cost
from headrace.schemas.handover import Origin
from headrace.schemas.journal import place_of
from headrace.schemas.limits import Flow, Units
from headrace.schemas.names import (
    DeploymentName,
    Endpoint,
    Identity,
    LaneName,
    ModelName,
    RequestId,
)
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
    by_deadline: bool = False
    """Whether its lane lets the earliest deadline go first."""
    attempt: int
    """Number of the next or running call, from 1."""
    history: tuple[Attempt, ...]
    started: bool = False
    """Whether the journal knows a call of it: then this process finishes it, owner or not."""
    appended_ms: int = 0
    """Timestamp of the record."""
    due_ms: int = 0
    """Not before this time, where it waits for one."""
    barred: Mapping[DeploymentName, int] = {}
    """Deployments that asked to be left alone, and until when."""
    first_call_ms: int = 0
    parked: Origin | None = None
    """Of a parked copy: where the call runs, or ran. It is not known yet how that ended."""
    copied: bool = False
    """Whether a copy of it is parked: marks tell of its end, not the journal."""
    suspect: bool = False
    """A process died with it in hand: its START is awaited before the call."""
    careful: bool = False
    """It may have killed a process before that could tell: begun one at a time, each announced."""
    on_trial: bool = False
    """The only suspect of its process."""
    began_s: float = 0.0
    """When its running call began; 0 while none runs (monotonic seconds)."""
    size: int = 0
    flow: Flow | None = None
    """Whose credits it waits for, or had; None where its model has no limits of the whole fleet."""
    cost: Cost | None = None
    """What it will probably take of limits on tokens."""
    units: Units = Units(1)
    """What it asks for in its flow."""
    asked_ms: int = 0
    """Since when it waits for credits; 0: it does not."""
    routed_ms: int = 0
    """Since when it waits for those of the deployment in its flow."""

    @property
    def id(self) -> RequestId:
        """The request id."""
        return self.record.id

    @property
    def identity(self) -> Identity:
        """Tenant and id: what its cancel names."""
        return self.record.tenant, self.record.id

    @property
    def ours(self) -> bool:
        """Whether this process may still run it: it owns the partition, or began before it lost it.

        A beginning counts no more where others may have taken this process for dead.
        """
        return self.tenure.owned or (self.started and not self.tenure.forsaken)

    @property
    def origin(self) -> Origin:
        """What a record that goes on with it names as its origin."""
        place = place_of(self.tenure.topic, self.tenure.partition, self.offset)
        return Origin(place, self.attempt, self.tenure.session)

    @property
    def rank(self) -> int:
        """Its place among requests that wait, in all processes: when it could first run, or its deadline."""
        if self.by_deadline:
            return self.deadline_ms
        return max(self.source.timestamp_ms, self.record.not_before_ms)

    def barred_at(self, now_ms: int) -> frozenset[DeploymentName]:
        """Deployments that it may not go to yet."""
        return frozenset(name for name, until in self.barred.items() if until > now_ms)

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
