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
"""Answers that one process owes at a time, shared out among the inboxes: a full one is read no further,
while the others go on. One batch may come on top."""
MIN_OWED = 100
"""Of each inbox, however many there are."""
LOOK_S = 0.1
OVERTIME_S = 60.0
"""How long after its deadline a request may be without an outcome; the sweeper gives it one."""


class KeyedRecords:
    """Of one process; a session at a time."""

    def __init__(self, desk: KeyDesk, index: Index, results: Results, inboxes: int) -> None:
        """`inboxes` is how many there are."""
        self._desk = desk
        self._index = index
        self._results = results
        self._max_owed = max(MIN_OWED, MAX_OWED // inboxes)
        self._owed: dict[str, set[tuple[Place, int]]] = {}
        """By the topic of the inbox."""
        self._progress = Progress()
        self._writer: Passing | None = None
        self._group: asyncio.TaskGroup | None = None
        self._ready = asyncio.Event()

    @asynccontextmanager
    async def session(self, progress: Progress, writer: Passing) -> AsyncIterator[None]:
        """Take records until the context ends, and with it what is owed: the offsets are not committed."""
        self._progress, self._writer = progress, writer
        self._owed.clear()
        self._ready.clear()
        async with asyncio.TaskGroup() as group:
            self._group = group
            group.create_task(self._wait_for_index())
            yield

    def has_room(self, topic: str) -> bool:
        """Whether records of this inbox may be read."""
        return len(self._owed.get(topic, ())) < self._max_owed

    def take(self, record: RequestRecord, written: InboxRecord) -> None:
        """See to a record; its offset is held until it is written and answered, or rejected."""
        place, offset = Place(written.topic, written.partition), written.offset
        self._progress.hold(place, offset)
        owed = self._owed.setdefault(written.topic, set())
        if (place, offset) in owed:
            return  # read again after a rebalance
        owed.add((place, offset))
        assert self._group is not None  # noqa: S101 - a session is open
        self._group.create_task(self._settle(record, written))

    async def _wait_for_index(self) -> None:
        # It is another room's: looked at rather than told.
        while not self._index.ready:  # noqa: ASYNC110
            await asyncio.sleep(LOOK_S)
        self._ready.set()

    async def _settle(self, record: RequestRecord, written: InboxRecord) -> None:
        """Answer a record when its key's request has ended, and let its offset go."""
        await self._ready.wait()
        verdict = await self._desk.ask(record)
        if isinstance(verdict, Refusal):
            await self._reject(record, written, verdict)
        else:
            await self._answer(record, written, verdict)
        place = Place(written.topic, written.partition)
        self._owed[written.topic].discard((place, written.offset))
        self._progress.release(place, written.offset)

    async def _reject(self, record: RequestRecord, written: InboxRecord, why: Refusal) -> None:
        if why.code is not Code.IDEMPOTENCY_MISMATCH:
            raise ConnectionError(why.message)
        assert self._writer is not None  # noqa: S101 - a session is open
        rejected = Rejected(record.id, why.code, why.message, record.reply)
        await self._writer.reject(rejected, written)

    async def _answer(
        self, record: RequestRecord, written: InboxRecord, verdict: Win | Attach
    ) -> None:
        """See that the key's request is written; where an answer is wanted, wait for it and write it."""
        if isinstance(verdict, Attach):
            await self._written(record, written, verdict)
        else:
            await self._write(record, written, verdict.id)
        if record.reply is not None and self._writer is not None:
            reply = await self._final(record, verdict.id)
            await self._writer.answer(record.reply, reply)

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

    async def _final(self, record: RequestRecord, request_id: RequestId) -> Reply:
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
