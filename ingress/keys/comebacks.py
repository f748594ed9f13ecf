"""Repeats of the official clients: the call that a broken connection left running is taken up.

How it works. A client library that loses its connection sends the same request again, without any
key, and counts its repeats in a header. So a plain request of such a client that breaks before its
answer began is not cancelled at once: an `Orphan` is appended to `claims` and its replies go to the
`shelter`. A repeat looks for an orphan of the same tenant, endpoint and body, appends an `Attach`, and
reads the log back: the first attach has it. Where another replica keeps the replies, it sends them on.
"""

import asyncio
import contextlib
from collections.abc import Callable

from headrace.ingress.admission import HttpHeaders
from headrace.ingress.board import ReplyBoard
from headrace.ingress.index import Index
from headrace.ingress.kafka.cancels import Cancels
from headrace.ingress.kafka.claims import ClaimLog
from headrace.ingress.kafka.forward import Forward
from headrace.ingress.keys.digest import request_digest
from headrace.ingress.keys.orphans import GRACE_MS, Orphans, Taken
from headrace.ingress.keys.shelter import Shelter
from headrace.ingress.refusal import Refusal
from headrace.ingress.waiter import GRACE_AFTER_DEADLINE_S, Waiter
from headrace.schemas.claims import Attach, Orphan
from headrace.schemas.names import InstanceId, RequestId, Tenant
from headrace.schemas.records import RequestRecord
from headrace.schemas.replies import Cancel, Reply

COUNT = b"x-stainless-retry-count"
"""Header of the official clients: how often this request was sent before; `0` on the first."""
KEEP_S = GRACE_MS / 1000 + 2
"""How long replies are kept: an attach at the end of the grace has been read by then."""
READ_BACK_S = 2.0
MAX_APPENDS = 1_000
"""Orphans on their way to Kafka; beyond it a broken request is cancelled at once."""


def repeats(headers: HttpHeaders) -> bool:
    """Whether an official client sends a request once more."""
    return headers.get(COUNT, b"0") != b"0"


def comeback_digest(record: RequestRecord, headers: HttpHeaders) -> str:
    """What a repeat of `record` is known by; empty where its client sends none."""
    return request_digest(record.endpoint, record.body) if COUNT in headers else ""


def untouched(waiter: Waiter, started: float) -> bool:
    """Whether nothing of the answer has come, or gone out since `started`: only then do these clients
    repeat a request.
    """
    begun = waiter.settled or waiter.next_seq > 1 or waiter.touched_at != started
    return not (begun or waiter.early or waiter.parts)


class Comebacks:
    """Orphans of this process and of the others. One per process."""

    def __init__(
        self, instance: InstanceId, index: Index, claims: ClaimLog, board: ReplyBoard,
        cancels: Cancels, forward: Forward, monotonic: Callable[[], float],
    ) -> None:  # fmt: skip
        self._instance = instance
        self._index = index
        self._claims = claims
        self._board = board
        self._cancels = cancels
        self._forward = forward
        self._monotonic = monotonic
        self._orphans = Orphans()
        self._shelter = Shelter()
        self._taking: dict[RequestId, bool] = {}
        """Orphans that repeats here are about to take up, and whether the log has given them."""
        self._appends: set[asyncio.Task[object]] = set()
        index.on_entry(self.read)

    def left(self, record: RequestRecord, waiter: Waiter, digest: str, started: float) -> bool:
        """The client of `record` went away; False where it will not come back: to be cancelled.

        `digest` is that of its body, which is gone by now; empty for a client that sends no repeats.
        """
        official = digest and untouched(waiter, started)
        if not official or len(self._appends) >= MAX_APPENDS:
            return False
        assert record.endpoint is not None  # noqa: S101 - over HTTP the path tells it
        wanted_no_more = Cancel(record.id, record.deadline_ms, record.tenant)
        self._shelter.take_in(wanted_no_more, self._monotonic() + KEEP_S)
        orphan = Orphan(
            tenant=record.tenant,
            endpoint=record.endpoint,
            digest=digest,
            id=record.id,
            instance=self._instance,
            deadline_ms=record.deadline_ms,
        )
        task = asyncio.create_task(self._claims.append(orphan))
        self._appends.add(task)
        task.add_done_callback(self._appends.discard)
        return True

    def find(self, record: RequestRecord, now_ms: int) -> Orphan | None:
        """An orphan that the repeat `record` may take up; nobody here is about to."""
        if record.endpoint is None:
            return None
        digest = request_digest(record.endpoint, record.body)
        wanted = (record.tenant, record.endpoint, digest)
        return self._orphans.find(wanted, now_ms, besides=self._taking.keys())

    async def take_up(self, orphan: Orphan, waiter: Waiter) -> bool:
        """Put `waiter`, made for the orphan's id, on the board to wait for its answer; False, and it is
        not on the board, if another was first.
        """
        mine = orphan.id in self._shelter
        if not mine:  # its keeper may send before this process has read its own attach
            self._board.expect(waiter)
        self._taking[orphan.id] = False
        try:
            await self._attach(orphan)
        finally:
            taken = self._taking.pop(orphan.id)
            if not taken:
                self._board.drop(waiter)
        if taken and mine:
            self._board.expect(waiter)
            for reply in self._shelter.adopt(orphan.id):
                self._board.deliver(reply, self._monotonic())
        return taken

    async def _attach(self, orphan: Orphan) -> None:
        """Append an `Attach` and read the log up to it; a log that cannot be reached decides nothing."""
        attach = Attach(
            tenant=orphan.tenant,
            endpoint=orphan.endpoint,
            digest=orphan.digest,
            id=orphan.id,
            instance=self._instance,
        )
        place = await self._claims.append(attach)
        if isinstance(place, Refusal):
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(READ_BACK_S):
                await self._index.read_own(attach, place.partition, place.offset, place.at_ms)

    def read(self, entry: Orphan | Attach, at_ms: int) -> None:
        """The next such record of the log; `at_ms` is its append time."""
        if isinstance(entry, Orphan):
            self._orphans.left(entry, at_ms)
            return
        taken = self._orphans.taken(entry, at_ms)
        if taken is None:
            return
        if taken.taker == self._instance:
            self._took(taken, entry.tenant)
        elif taken.keeper == self._instance:
            left_s = (taken.deadline_ms - at_ms) / 1000 + GRACE_AFTER_DEADLINE_S
            until = self._monotonic() + left_s
            for reply in self._shelter.send_on(taken.id, taken.taker, until):
                self._forward.send(reply, taken.taker)

    def _took(self, taken: Taken, tenant: Tenant) -> None:
        if taken.id in self._taking:
            self._taking[taken.id] = True
        else:
            # Its repeat has stopped waiting for the log: nobody wants the answer any more.
            self._cancels.add(Cancel(taken.id, taken.deadline_ms, tenant))

    def stray(self, reply: Reply) -> bool:
        """A reply that nobody on the board waits for; True if it was for an orphan."""
        kept = reply.id in self._shelter
        taker = self._shelter.deliver(reply)
        if taker is not None:
            self._forward.send(reply, taker)
        return kept

    @property
    def sends_on(self) -> bool:
        """Whether clients of other replicas still get their answers through this one."""
        return self._shelter.sends_on or len(self._forward) > 0

    def sweep(self, now: float) -> None:
        """Cancel what nobody came back for."""
        for cancel in self._shelter.sweep(now):
            self._cancels.add(cancel)
