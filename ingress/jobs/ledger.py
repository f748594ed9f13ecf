"""What this process writes about requests with a kind: record and rows, ends that it decides.

Everything is acknowledged by all copies before it counts. What was refused may still have been
written, so a refusal of a new request always comes with a cancel.
"""

import asyncio
from collections.abc import Callable

from headrace.ingress.index import REBUILDING, Index, Row, StatusWriter
from headrace.ingress.kafka.cancels import Cancels
from headrace.ingress.kafka.connect import acknowledged
from headrace.ingress.kafka.outbox import Outbox
from headrace.ingress.refusal import Refusal
from headrace.ingress.waiter import Waiter
from headrace.schemas.errors import CATALOGUE, Code
from headrace.schemas.names import InstanceId, Outcome
from headrace.schemas.records import RequestRecord
from headrace.schemas.replies import Cancel
from headrace.schemas.status import By, Queued, Terminal

READ_BACK_S = 5.0
"""How long an own end may take to be read back."""
SPARE_MS = 60_000
"""How long dispatchers keep a cancel beyond the deadline of its request: a call may still run."""

_CODES = {Outcome.CANCELLED: Code.CANCELLED, Outcome.EXPIRED: Code.DEADLINE_EXCEEDED}


class Ledger:
    """One per process."""

    def __init__(
        self, outbox: Outbox, status: StatusWriter, cancels: Cancels, index: Index,
        monotonic: Callable[[], float],
    ) -> None:  # fmt: skip
        self._outbox = outbox
        self._status = status
        self._cancels = cancels
        self._index = index
        self._monotonic = monotonic

    async def enter(self, record: RequestRecord, waiter: Waiter) -> Refusal | None:
        """Hand over a request that somebody waits for, and have its row acknowledged.

        A missing ack of the record itself fails `waiter`. A refusal: it has not been accepted.
        """
        refused = await self._outbox.enqueue(record, waiter)
        if refused is None:
            refused = await acknowledged(self._status.put(queued(record)))
            if refused is not None:
                self.withdraw(record)
        return refused

    async def accept(self, record: RequestRecord) -> Refusal | None:
        """Have a request that nobody waits for acknowledged, and its row. A refusal: not accepted."""
        acked = _Acked()
        waiter = Waiter(record.id, False, acked, self._monotonic(), 0.0, 0.0)
        refused = await self._outbox.enqueue(record, waiter, acked.wake)
        if refused is not None:
            return refused
        row = asyncio.create_task(acknowledged(self._status.put(queued(record))))
        await asyncio.wait((acked.told, row))
        refused = waiter.failure or row.result()
        if refused is not None:
            self.withdraw(record)
        return refused

    async def end(self, row: Row, outcome: Outcome, by: By) -> Refusal | None:
        """Append this end of a request, and have its call aborted. The log decides whether it counts."""
        code = _CODES[outcome]
        ended = Terminal(
            tenant=row.tenant,
            id=row.id,
            outcome=outcome,
            status=CATALOGUE[code].status,
            code=code.value,
            attempt=row.attempt,
            attempts=row.attempts,
            upstream=row.upstream,
            by=by,
        )
        refused = await acknowledged(self._status.put(ended))
        if refused is None:
            self._cancels.add(Cancel(row.id, row.deadline_ms + SPARE_MS, row.tenant))
        return refused

    async def give_up(self, record: RequestRecord, row: Row | None) -> None:
        """Cancel a request that nobody wants any more. `row` None: none was read, so there is none."""
        if row is None or await self.end(row, Outcome.CANCELLED, "api") is not None:
            self.withdraw(record)

    def withdraw(self, record: RequestRecord) -> None:
        """Have dispatchers drop a request that may have been written; a keyed one is left to the
        repeats that its client was told to send.
        """
        if not record.idempotency_key:
            self._cancels.add(Cancel(record.id, record.deadline_ms, record.tenant))

    async def cancel(self, row: Row) -> Row | Refusal:
        """Cancel a request; returns it as the log has decided, ended one way or the other."""
        if row.ended:
            return row
        refused = await self.end(row, Outcome.CANCELLED, "api")
        if refused is not None:
            return refused
        until = asyncio.get_running_loop().time() + READ_BACK_S
        return await self._index.terminal(row.tenant, row.id, until) or REBUILDING


class _Acked:
    """The party of a request that waits for its ack only."""

    def __init__(self) -> None:
        self.told: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def wake(self) -> None:
        if not self.told.done():
            self.told.set_result(None)

    def cut(self) -> None:
        """Nobody is connected."""


def queued(record: RequestRecord) -> Queued:
    """The first row of a request."""
    reply = record.reply
    assert record.kind is not None and record.endpoint is not None and reply is not None  # noqa: S101, PT018 - admitted so
    return Queued(
        tenant=record.tenant,
        id=record.id,
        kind=record.kind,
        model=record.model,
        lane=record.lane,
        endpoint=record.endpoint,
        stream=record.stream is True,
        accepted_ms=record.accepted_ms,
        deadline_ms=record.deadline_ms,
        reply_partition=reply.partition or 0,
        not_before_ms=record.not_before_ms,
        instance=reply.instance or InstanceId(""),
    )
