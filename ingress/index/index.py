"""The index of one process: every request with a kind, and every idempotency key, from the log.

How it works. `Follower` hands it the records of `status` and `claims` in the order of their partitions.
They go into a dict; twice a second the dict is written to the store by a thread, with the offsets in
the same transaction, and meanwhile both are read, the older one first. So a reader sees all that was
followed, written or not. While the process catches up only the dict is looked at, as the store folds
older and newer together by itself; once it is `ready` each record finds the whole of its request, so
that callbacks tell the truth. All on the event loop's thread but `Store.write`.
"""

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from headrace.ingress.index import known
from headrace.ingress.index.known import KnownClaim
from headrace.ingress.index.progress import NotCaughtUp, Progress
from headrace.ingress.index.row import Pieces, Row
from headrace.ingress.index.slots import Slot, take_slot
from headrace.ingress.index.store import Batch, Place, Read, Store, is_broken, remove, together
from headrace.schemas.claims import Attach, Claim, Entry, Orphan, claim_key, entry_key
from headrace.schemas.names import RequestId, Tenant
from headrace.schemas.status import Status, Terminal, indexed_partition, status_key
from headrace.schemas.topics import Topics

BATCH = 5_000
"""Rows that are not written yet; at twice as many the follower waits for the thread."""
OVERDUE_MS = 10_000
"""How long after its deadline a request may still be ended by a dispatcher."""

Found = TypeVar("Found")
OnRow = Callable[[Row], None]
OnEntry = Callable[[Orphan | Attach, int], None]
EndOf = Callable[[Place], Awaitable[int]]


class Index:
    """What this process knows. `folder` holds the slots; `status_ms` is what `status` keeps."""

    def __init__(
        self, folder: Path, topics: Topics, status_ms: int, now_ms: Callable[[], int]
    ) -> None:
        self._folder = folder
        self._status, self._claims = topics.status, topics.claims
        self._status_ms = status_ms
        self._now_ms = now_ms
        self._slot: Slot | None = None
        self._store: Store | None = None
        self._thread: ThreadPoolExecutor | None = None
        self._fresh = Batch()
        self._writing: Batch | None = None
        self.progress = Progress()
        self._end_of: EndOf | None = None
        self._waiting: dict[bytes, list[asyncio.Future[Row]]] = {}
        self._on_row: list[OnRow] = []
        self._on_entry: list[OnEntry] = []
        self.ready = False
        """Whether all that stood in the log when this process started has been read."""
        self.duplicates = 0
        """Terminal records after the first of their request."""
        self.broken = False
        """The file cannot be read any more: the follower makes it anew."""

    # Questions

    def get(self, tenant: Tenant, request_id: RequestId) -> Row | None:
        """What is known of a request; None, too, before `ready`, for one that was not read yet."""
        return self._pieces(status_key(tenant, request_id)).row()

    async def wait_to_end(
        self, tenant: Tenant, request_id: RequestId, timeout_s: float = 2.0
    ) -> Row | None:
        """`get` once the log was read to its present end; for an id that may be seconds old.

        Raises `NotCaughtUp` where that takes longer than `timeout_s`, and the id is not known.
        """
        key = status_key(tenant, request_id)
        place = self._status, indexed_partition(key)
        row = self._pieces(key).row()
        if row is not None:
            return row
        try:
            async with asyncio.timeout(timeout_s):
                if self._end_of is None:
                    raise NotCaughtUp("the log cannot be reached")
                await self.progress.read_to(place, await self._end_of(place))
        except TimeoutError:
            raise NotCaughtUp(f"{place} was not read to its end in {timeout_s} s") from None
        return self._pieces(key).row()

    async def terminal(
        self, tenant: Tenant, request_id: RequestId, until_monotonic: float, *, soon: bool = False
    ) -> Row | None:
        """The request once it has ended; None where it has not by then (the loop's time).

        `soon`: its final has come, so its row is on the way, and is read without letting records gather.
        """
        key = status_key(tenant, request_id)
        row = self._pieces(key).row()
        if row is not None and row.ended:
            return row
        ended: asyncio.Future[Row] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(key, []).append(ended)
        self.progress.soon += soon
        if soon:
            self.progress.wanted.set()
        try:
            async with asyncio.timeout_at(until_monotonic):
                return await ended
        except TimeoutError:
            return None
        finally:
            self.progress.soon -= soon
            self._waiting[key].remove(ended)
            if not self._waiting[key]:
                del self._waiting[key]

    def due(self, now_ms: int, limit: int) -> list[Row]:
        """Requests that nobody has ended `OVERDUE_MS` after their deadline, the oldest first.

        A hundred of them take about a millisecond.
        """
        before_ms = now_ms - OVERDUE_MS
        nothing: list[tuple[bytes, Pieces]] = []
        found = self._asked(lambda store: store.due(before_ms, limit), nothing)
        rows = (self._over(key, older).row() for key, older in found)
        return [row for row in rows if row is not None and not row.ended]

    def claim(self, tenant: Tenant, key: str) -> KnownClaim | None:
        """The claim that won the idempotency key, while it holds; None where nobody's was read."""
        found = self._claim(claim_key(tenant, key))
        return found if found is not None and found.holds_at(self._now_ms()) else None

    async def claimed(self, claim: Claim, partition: int, offset: int, at_ms: int) -> KnownClaim:
        """The claim that won its key, once the log was read up to this own one at `offset`."""
        await self.read_own(claim, partition, offset, at_ms)
        found = self._claim(entry_key(claim))
        if found is None:
            raise LookupError(f"no claim at {partition}-{offset}")
        return found

    async def read_own(self, entry: Entry, partition: int, offset: int, at_ms: int) -> None:
        """Wait until an acknowledged own entry was read, and callbacks were told.

        Where all before it was read it is taken at once, and passed over when it is fetched.
        """
        place = self._claims, partition
        if self.ready and at_ms and self.places.get(place, (0, 0))[0] == offset:
            self.entry(entry, partition, offset, at_ms)
            self.advance(place, offset + 1, at_ms)
        else:
            await self.progress.read_to(place, offset + 1)

    def on_row(self, callback: OnRow) -> Callable[[], None]:
        """Be told every new state from `ready` on; returns what ends it. It must not raise or wait."""
        self._on_row.append(callback)
        return lambda: self._on_row.remove(callback)

    def on_entry(self, callback: OnEntry) -> Callable[[], None]:
        """Be told every `Orphan` and `Attach` with its append time, in the order of the log."""
        self._on_entry.append(callback)
        return lambda: self._on_entry.remove(callback)

    # The log

    def state(self, key: bytes, status: Status, at_ms: int) -> None:
        """The next record of `status`."""
        pieces = self._fresh.status.get(key)
        if pieces is None:
            pieces = self._pieces(key) if self.ready else Pieces()
            self._fresh.status[key] = pieces
        if not pieces.take(status, at_ms):
            self.duplicates += isinstance(status, Terminal)
        elif (self.ready and self._on_row) or key in self._waiting:
            self._tell(key)

    def entry(self, entry: Entry, partition: int, offset: int, at_ms: int) -> None:
        """The next record of `claims`."""
        if isinstance(entry, Claim):
            key = entry_key(entry)
            newer = known.known_claim(entry, partition, offset, at_ms)
            self._fresh.claims[key] = known.first(self._claim(key), newer)
            return
        for callback in self._on_entry:
            callback(entry, at_ms)

    def advance(self, place: Place, end: int, at_ms: int) -> None:
        """All records of a partition below `end` were read; the last one has that append time."""
        self._fresh.places[place] = (end, at_ms)
        self.progress.advance(place, end, at_ms)

    @property
    def places(self) -> dict[Place, Read]:
        """How far each partition was read."""
        return self.progress.places

    def connect(self, end_of: EndOf | None) -> None:
        """Ask `end_of` where a partition ends; None: nobody can be asked."""
        self._end_of = end_of

    # The file

    async def open(self) -> None:
        """Take a slot and read how far its file is. Raises `OSError` or `sqlite3.Error`."""
        if self._store is None:
            self._thread = self._thread or ThreadPoolExecutor(1, "index")
            self._slot = self._slot or take_slot(self._folder)
            path, loop = self._slot.path, asyncio.get_running_loop()
            self._store = await loop.run_in_executor(self._thread, Store, path, self._status_ms)
            self.progress.places = self._store.places()
            if {topic for topic, _ in self.places} - {self._status, self._claims}:
                await self.renew()

    async def renew(self) -> None:
        """Forget everything, file and all."""
        self.ready = self.broken = False
        self._fresh, self._writing, self.progress.places = Batch(), None, {}
        if self._store is not None:
            self._store.close()
            self._store = None
        if self._slot is not None:
            remove(self._slot.path)
        await self.open()

    @property
    def unwritten(self) -> int:
        """Rows that only the memory has."""
        return len(self._fresh)

    async def write(self) -> None:
        """Write what is fresh. Raises `sqlite3.Error`, and keeps it then. One at a time."""
        if self._store is None or not self._fresh.places:
            return
        self._writing, self._fresh = self._fresh, Batch()
        try:
            await asyncio.get_running_loop().run_in_executor(
                self._thread, self._store.write, self._writing, self.progress.newest_ms
            )
        except BaseException:
            self._fresh = together(self._writing, self._fresh)
            raise
        finally:
            self._writing = None

    async def close(self) -> None:
        """Leave file and slot; may come twice. What is not written is read again next time."""
        if self._thread is not None:
            await asyncio.to_thread(self._thread.shutdown)
        if self._store is not None:
            self._store.close()
        if self._slot is not None:
            self._slot.close()
        self._thread = self._store = self._slot = None

    # What is known, older first

    def _pieces(self, key: bytes) -> Pieces:
        older = self._asked(lambda store: store.read(key), None)
        return self._over(key, older or Pieces())

    def _asked(self, question: Callable[[Store], Found], otherwise: Found) -> Found:
        """What the file says; a broken one says nothing more until it was made anew."""
        if self._store is None or self.broken:
            return otherwise
        try:
            return question(self._store)
        except sqlite3.DatabaseError as error:
            if not is_broken(error):
                raise
            self.broken, self.ready = True, False
            return otherwise

    def _over(self, key: bytes, pieces: Pieces) -> Pieces:
        for batch in (self._writing, self._fresh):
            if batch is not None and key in batch.status:
                pieces = batch.status[key].after(pieces)
        return pieces

    def _claim(self, key: bytes) -> KnownClaim | None:
        found = self._asked(lambda store: store.claim(key), None)
        for batch in (self._writing, self._fresh):
            if batch is not None and key in batch.claims:
                found = known.first(found, batch.claims[key])
        return found

    def _tell(self, key: bytes) -> None:
        row = self._pieces(key).row()
        if row is None:
            return
        if self.ready:
            for callback in self._on_row:
                callback(row)
        if row.ended:
            for ended in self._waiting.get(key, ()):
                if not ended.done():
                    ended.set_result(row)
