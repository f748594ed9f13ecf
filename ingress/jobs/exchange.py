"""The three ways to treat a request with a kind: `accept` a job, `hold` its client, `attach` a repeat.

What the client of a held request gets is decided by the log: a final is passed on when the request's
first `Terminal` row says that it is the outcome, so that two replicas never tell two stories (P2). A
stream cannot be taken back; it ends by its own final.
"""

import asyncio
import contextlib

import msgspec

from headrace.ingress import answer
from headrace.ingress.accounts import Accounts
from headrace.ingress.answer import Answer, HttpHeaders, put
from headrace.ingress.asgi import Send, send_answer, send_part
from headrace.ingress.board import ReplyBoard
from headrace.ingress.connection import Listener
from headrace.ingress.index import Row
from headrace.ingress.jobs import ending, view
from headrace.ingress.jobs.events import BROKEN, EventStream
from headrace.ingress.jobs.grace import Grace
from headrace.ingress.jobs.interest import Interest
from headrace.ingress.jobs.ledger import Ledger, queued
from headrace.ingress.jobs.tail import Sources, Tail, until
from headrace.ingress.metrics import Metrics
from headrace.ingress.refusal import Refusal
from headrace.ingress.stream import relay
from headrace.ingress.waiter import HeldWaiter, Waiter, still_waiting
from headrace.schemas.errors import Code
from headrace.schemas.records import RequestRecord
from headrace.schemas.replies import Reply

AFTER_DEADLINE_S = 30.0
"""The sweeper ends what nobody else has ended; only then does a waiting connection give up."""
SETTLE_S = 2.0
"""How long the outcome of a final that came may take to be read back."""
REPLAYED = (b"idempotency-replayed", b"true")

SWEEP_S = 0.5
_UNWRITTEN = frozenset((Code.KAFKA_UNAVAILABLE, Code.KAFKA_TOPIC_MISSING, Code.KAFKA_ACL_DENIED))
"""The client is told that nothing was accepted."""


class Asked(msgspec.Struct, frozen=True):
    """A request with a kind, and the client that sent it."""

    record: RequestRecord
    listener: Listener
    send: Send
    started: float
    """Monotonic seconds."""
    now_ms: int
    """The same moment by the broker's clock."""
    limits: HttpHeaders = []
    """What the answer is to tell of the caller's limits."""


class Exchange:
    """One per process; `run` it as a task."""

    def __init__(
        self, *, board: ReplyBoard, ledger: Ledger, grace: Grace, interest: Interest,
        sources: Sources, accounts: Accounts,
        metrics: Metrics, max_sync_wait_s: float,
    ) -> None:  # fmt: skip
        self._board = board
        self._ledger = ledger
        self._grace = grace
        self._interest = interest
        self._sources = sources
        self._accounts = accounts
        self._metrics = metrics
        self._max_sync_wait_s = max_sync_wait_s
        sources.index.on_row(self._on_row)
        sources.index.on_entry(grace.read)

    async def run(self) -> None:
        """Cancel what nobody came back for, for ever."""
        while True:
            await asyncio.sleep(SWEEP_S)
            for record in self._grace.sweep(self._sources.monotonic()):
                row = self._sources.index.get(record.tenant, record.id)
                if row is None or not row.ended:
                    await self._ledger.give_up(record, row)

    async def accept(self, asked: Asked) -> None:
        """Have a job acknowledged: 202, or the refusal."""
        record = asked.record
        try:
            refused = await self._ledger.accept(record)
            self._accounts.accepted(record, refused, asked.started)
            if refused is not None:
                await respond(asked, answer.from_refusal(refused, record.id))
            else:
                await respond(asked, view.accepted(queued(record)))
        finally:
            asked.listener.leave()

    async def accepted_before(self, asked: Asked, row: Row) -> None:
        """202 for the repeat of a job that `row` is of."""
        whole = view.accepted_row(row)
        whole.headers.append(REPLAYED)
        try:
            await respond(asked, whole)
        finally:
            asked.listener.leave()
            self._accounts.accepted(asked.record, None, asked.started)

    async def hold(self, asked: Asked) -> None:
        """Write the request and wait for its end, which outlives the client."""
        record, listener = asked.record, asked.listener
        lasts_s = (record.deadline_ms - asked.now_ms) / 1000 + AFTER_DEADLINE_S
        waits_until = asked.started + self._max_sync_wait_s
        waiter = HeldWaiter(
            record.id,
            record.stream is True,
            listener,
            asked.started,
            waits_until,
            asked.started + lasts_s,
        )
        waiter.keyed = bool(record.idempotency_key)
        self._board.expect(waiter)
        refused: Refusal | None = None
        try:
            refused = await self._ledger.enter(record, waiter)
            if refused is not None:
                await respond(asked, answer.from_refusal(refused, record.id))
            elif waiter.stream:
                clock = self._sources.monotonic
                await relay(self._board, waiter, listener, asked.send, clock, self._metrics)
            else:
                await self._wait(asked, waiter)
        finally:
            listener.leave()
            self._board.drop(waiter)
            self._left(record, waiter, refused)
            self._accounts.ended(record, waiter, refused, asked.started)

    async def attach(self, asked: Asked, row: Row) -> None:
        """Give a repeat the answer of the request that `row` is of."""
        asked.record.body = b""
        await self._interest.show(row)
        s, listener = self._sources, asked.listener
        first_s = s.keepalive_s if row.stream else self._max_sync_wait_s
        told: Reply | Refusal | None = None
        try:
            row = await until(s, row, listener, asked.started + first_s, _begun)
            told = await ending.final_of(row, s.results) if row.ended else None
            if row.stream and not isinstance(told, Refusal) and (not told or told.status == 200):
                told = await self._replay(asked, row)
                return
            if told is None and not listener.lost:
                told = still_waiting(row.id, keyed=True)
            if isinstance(told, Refusal):
                await respond(asked, answer.from_refusal(told, row.id))
            elif told is not None:
                await respond(asked, _replayed(told))
        finally:
            listener.leave()
            self._accounts.told(asked.record, told, asked.started)

    async def _wait(self, asked: Asked, waiter: Waiter) -> None:
        listener = asked.listener
        while not (waiter.settled or listener.lost):
            await listener.change()
        if waiter.final is not None:
            await respond(asked, await self._decided(asked, waiter.final))
        elif waiter.failure is not None:
            await respond(asked, answer.from_refusal(waiter.failure, waiter.id))

    async def _decided(self, asked: Asked, final: Reply) -> Answer:
        """The answer that the log has made the request's outcome: mostly `final`."""
        s, record = self._sources, asked.record
        until_s = asyncio.get_running_loop().time() + SETTLE_S
        row = await s.index.terminal(record.tenant, record.id, until_s, soon=True)
        if row is None or (row.by == "dispatcher" and row.attempt == final.attempt):
            return answer.from_reply(final, record.id)
        other = await ending.final_of(row, s.results)
        if isinstance(other, Refusal):
            return answer.from_refusal(other, record.id)
        return answer.from_reply(other, record.id)

    async def _replay(self, asked: Asked, row: Row) -> Reply | Refusal | None:
        """The stream as its first client got it: the upstream's bytes, without ids. Returns how it ended."""
        headers = [*view.stream_head(row), REPLAYED]
        await asked.send({"type": "http.response.start", "status": 200, "headers": headers})
        tail = Tail(self._sources, row, EventStream(plain=True), asked.listener)
        async with contextlib.aclosing(tail.pieces()) as pieces:
            async for piece in pieces:
                await send_part(asked.send, piece)
        if asked.listener.lost:
            return None
        await asked.send({"type": "http.response.body", "body": b""})
        return tail.final or Refusal(Code.UPSTREAM_STREAM_BROKEN, BROKEN)

    def _left(self, record: RequestRecord, waiter: Waiter, refused: Refusal | None) -> None:
        """The exchange is over: what becomes of a request that has no answer yet."""
        failure = waiter.failure
        if refused is not None or waiter.final is not None:
            return
        if failure is None or failure.code is Code.CLIENT_TOO_SLOW:
            self._grace.begin(record, self._sources.monotonic())
        elif failure.code in _UNWRITTEN:
            self._ledger.withdraw(record)

    def _on_row(self, row: Row) -> None:
        """A new state: what ended otherwise than by a dispatcher has no final to wait for."""
        if row.ended:
            self._grace.ended(row.id)
            if row.by != "dispatcher":
                self._board.fail_id(row.id, ending.refusal(row))


def _begun(row: Row) -> bool:
    """Whether there is something to pass on."""
    return row.ended or row.chunks is not None


def _replayed(final: Reply) -> Answer:
    whole = answer.from_reply(final, final.id)
    whole.headers.append(REPLAYED)
    return whole


async def respond(asked: Asked, whole: Answer) -> None:
    """Send a whole answer."""
    whole.headers = put(whole.headers, asked.limits)
    if not asked.listener.answer(whole):
        await send_answer(asked.send, whole)
