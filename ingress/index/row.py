"""What is known of a request: the fold over its records on `status`. Pure.

The order of the log decides. The first `Terminal` is the outcome and later ones are dropped (P2); an
attempt's rows replace those of the attempts before it; `Queued` may come after both, as it is written
beside the request itself. A request without its `Queued` was never accepted, so it makes no row.
"""

from enum import StrEnum

import msgspec

from headrace.schemas.names import (
    Endpoint,
    InstanceId,
    Kind,
    LaneName,
    ModelName,
    Outcome,
    RequestId,
    Tenant,
)
from headrace.schemas.status import Queued, Running, Status, Terminal


class State(StrEnum):
    """Where a request is; the terminal states have the words of `Outcome`."""

    QUEUED = "queued"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    DEAD_LETTERED = "dead_lettered"


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """A request with a kind. Times are epoch ms by the broker's clock."""

    tenant: Tenant
    id: RequestId
    kind: Kind
    state: State
    model: ModelName
    lane: LaneName
    endpoint: Endpoint
    stream: bool
    accepted_ms: int
    deadline_ms: int
    not_before_ms: int
    instance: InstanceId
    """The process that accepted it, where it waits for the answer; else empty."""
    reply_partition: int
    """Where its chunks are on `replies`."""
    attempt: int = 0
    """The attempt that runs or that answered; 0: none yet."""
    attempts: int = 0
    """Upstream calls made so far."""
    source: str = ""
    """The process that calls; with `attempt` it tells one stream from another."""
    chunks: tuple[int, int] | None = None
    """Partition and offset on `replies` of the first chunk of `attempt`."""
    outcome: Outcome | None = None
    """None: not ended."""
    result: tuple[int, int, int] | None = None
    """Partition, offset and parts of the answer on `results`; None: it is made from `code`."""
    status: int = 0
    """HTTP status of the answer."""
    code: str = ""
    queue_ms: int = 0
    upstream: str = ""
    """The deployment."""
    by: str = ""
    """Who ended it: dispatcher, sweeper or api."""
    updated_ms: int = 0

    @property
    def ended(self) -> bool:
        """Whether it has its outcome."""
        return self.outcome is not None


class Pieces(msgspec.Struct):
    """The records of one id that count so far."""

    queued: Queued | None = None
    running: Running | None = None
    terminal: Terminal | None = None
    at_ms: int = 0
    """Append time of the newest of them."""

    def take(self, status: Status, at_ms: int) -> bool:
        """Fold in the next record of the log; False where it changes nothing."""
        if isinstance(status, Queued):
            if self.queued is not None:
                return False
            self.queued = status
        elif isinstance(status, Terminal):
            if self.terminal is not None:
                return False
            self.terminal = status
        else:
            if self.running is not None and status.attempt < self.running.attempt:
                return False
            self.running = status
        self.at_ms = max(self.at_ms, at_ms)
        return True

    def after(self, older: "Pieces") -> "Pieces":
        """Both together, where all of `older` stands before all of these in the log."""
        running = self.running
        if running is None or (older.running and running.attempt < older.running.attempt):
            running = older.running
        return Pieces(
            older.queued or self.queued,
            running,
            older.terminal or self.terminal,
            max(older.at_ms, self.at_ms),
        )

    @property
    def due_ms(self) -> int | None:
        """The deadline of a request that has not ended."""
        return self.queued.deadline_ms if self.queued and self.terminal is None else None

    def row(self) -> Row | None:
        """What a reader is told; None without a `Queued`."""
        if self.queued is None:
            return None
        queued = self.queued
        row = Row(
            tenant=queued.tenant,
            id=queued.id,
            kind=queued.kind,
            state=State.QUEUED,
            model=queued.model,
            lane=queued.lane,
            endpoint=queued.endpoint,
            stream=queued.stream,
            accepted_ms=queued.accepted_ms,
            deadline_ms=queued.deadline_ms,
            not_before_ms=queued.not_before_ms,
            instance=queued.instance,
            reply_partition=queued.reply_partition,
            updated_ms=self.at_ms,
        )
        return _ended(_started(row, self.running, self.terminal), self.terminal)


def _started(row: Row, running: Running | None, ended: Terminal | None) -> Row:
    """With the attempt that runs or that answered; others tell nothing once there is an outcome."""
    if running is None or (ended is not None and running.attempt != ended.attempt):
        return row
    return msgspec.structs.replace(
        row,
        state=State.RUNNING,
        attempt=running.attempt,
        attempts=running.attempt,
        source=running.source,
        chunks=running.chunks,
        upstream=running.deployment,
    )


def _ended(row: Row, ended: Terminal | None) -> Row:
    if ended is None:
        return row
    return msgspec.structs.replace(
        row,
        state=State(ended.outcome.value),
        outcome=ended.outcome,
        attempt=ended.attempt,
        attempts=ended.attempts,
        result=ended.result,
        status=ended.status,
        code=ended.code,
        queue_ms=ended.queue_ms,
        upstream=ended.upstream,
        by=ended.by,
    )
