"""Records of an inbox that carry an idempotency key: claimed, written once, and each answered.

How it works. A key is claimed as over HTTP. The request goes to its lane as a keyed one, so its answer
is kept on `results`; when it has ended, every record that carried the key is answered with it, under
that record's own id. Until then the record's offset is held: whoever reads the inbox after a crash
finds the key claimed, and answers. A producer may so get an answer twice, never none.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec

from headrace.ingress.index import Index, NotCaughtUp, Results
from headrace.ingress.intake.check import InboxRecord, Rejected
from headrace.ingress.intake.progress import Place, Progress
from headrace.ingress.jobs.ending import final_of
from headrace.ingress.kafka.passing import Passing, refusal_reply
from headrace.ingress.keys.decide import Attach, Win
from headrace.ingress.keys.desk import KeyDesk
from headrace.ingress.refusal import Refusal
from headrace.schemas.errors import Code
from headrace.schemas.names import Kind, RequestId
from headrace.schemas.records import RequestRecord
from headrace.schemas.replies import Reply

MAX_OWED = 10_000
"""Answers that one process owes at a time; beyond it the inboxes wait."""
LOOK_S = 0.1
OVERTIME_S = 60.0
"""How long after its deadline a request may be without an outcome; the sweeper gives it one."""


class KeyedRecords:
    """Of one process; a session at a time."""

    def __init__(self, desk: KeyDesk, index: Index, results: Results) -> None:
        self._desk = desk
        self._index = index
        self._results = results
        self._owed: set[tuple[Place, int]] = set()
        self._progress = Progress()
        self._writer: Passing | None = None
        self._group: asyncio.TaskGroup | None = None

    @asynccontextmanager
    async def session(self, progress: Progress, writer: Passing) -> AsyncIterator[None]:
        """Take records until the context ends, and with it what is owed: the offsets are not committed."""
        self._progress, self._writer = progress, writer
        self._owed.clear()
        async with asyncio.TaskGroup() as group:
            self._group = group
            yield

    async def take(self, record: RequestRecord, written: InboxRecord) -> Rejected | None:
        """See to a record; returns when its offset is safe: written, or held."""
        place, offset = Place(written.topic, written.partition), written.offset
        if (place, offset) in self._owed:  # read again after a rebalance
            self._progress.hold(place, offset)
            return None
        # Two causes, one of them another room's: looked at rather than told.
        while not self._index.ready or len(self._owed) >= MAX_OWED:  # noqa: ASYNC110
            await asyncio.sleep(LOOK_S)
        verdict = await self._desk.ask(record)
        if isinstance(verdict, Refusal):
            if verdict.code is not Code.IDEMPOTENCY_MISMATCH:
                raise ConnectionError(verdict.message)
            return Rejected(record.id, verdict.code, verdict.message, record.reply)
        if isinstance(verdict, Win):
            await self._write(record, written, verdict.id)
            if record.reply is None:
                return None
        self._progress.hold(place, offset)
        self._owed.add((place, offset))
        assert self._group is not None  # noqa: S101 - a session is open
        self._group.create_task(self._settle(record, written, verdict))
        return None

    async def _settle(
        self, record: RequestRecord, written: InboxRecord, verdict: Win | Attach
    ) -> None:
        """Answer a record when its key's request has ended, and let its offset go."""
        if isinstance(verdict, Attach):
            await self._written(record, written, verdict)
        if record.reply is not None and self._writer is not None:
            reply = await self._answer(record, verdict.id)
            await self._writer.answer(record.reply, reply)
        place = Place(written.topic, written.partition)
        self._owed.discard((place, written.offset))
        self._progress.release(place, written.offset)

    async def _written(self, record: RequestRecord, written: InboxRecord, attach: Attach) -> None:
        """Make sure that the request of a known key was written."""
        try:
            found = await self._desk.first(
                record, attach, lambda: self._write(record, written, attach.id)
            )
        except NotCaughtUp as error:
            raise ConnectionError(str(error)) from error
        if isinstance(found, Refusal):
            raise ConnectionError(found.message)

    async def _write(
        self, record: RequestRecord, written: InboxRecord, request_id: RequestId
    ) -> None:
        """Write the request that all records with the key share."""
        assert self._writer is not None  # noqa: S101 - a session is open
        keyed = msgspec.structs.replace(
            record, id=request_id, kind=Kind.KEYED, reply=self._writer.results_of(request_id)
        )
        await self._writer.keyed(keyed, written)

    async def _answer(self, record: RequestRecord, request_id: RequestId) -> Reply:
        """The final of the shared request under the record's own id, as one record from the start."""
        loop = asyncio.get_running_loop()
        left_s = (record.deadline_ms - self._desk.now_ms()) / 1000 + OVERTIME_S
        row = await self._index.terminal(
            record.tenant, request_id, loop.time() + max(OVERTIME_S, left_s)
        )
        final: Reply | Refusal = _LATE if row is None else await final_of(row, self._results)
        if isinstance(final, Refusal):
            return refusal_reply(Rejected(record.id, final.code, final.message, record.reply))
        return msgspec.structs.replace(final, id=record.id, seq=1, instance=None)


_LATE = Refusal(Code.DEADLINE_EXCEEDED, "The deadline passed, and no answer came.")
