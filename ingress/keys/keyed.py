"""Requests with an idempotency key over HTTP: the first one is held as its claim says, repeats attach."""

from headrace.ingress import answer
from headrace.ingress.index import REBUILDING, NotCaughtUp, Row
from headrace.ingress.jobs.exchange import Asked, Exchange, respond
from headrace.ingress.jobs.ledger import Ledger
from headrace.ingress.kafka.link import Link
from headrace.ingress.keys.decide import Attach, Win
from headrace.ingress.keys.desk import KeyDesk
from headrace.ingress.metrics import Metrics
from headrace.ingress.refusal import Refusal
from headrace.schemas.names import Kind
from headrace.schemas.records import RequestRecord


class KeyedRequests:
    """One per process."""

    def __init__(
        self, desk: KeyDesk, exchange: Exchange, ledger: Ledger, link: Link,
        metrics: Metrics,
    ) -> None:  # fmt: skip
        self._desk = desk
        self._exchange = exchange
        self._ledger = ledger
        self._link = link
        self._metrics = metrics

    async def serve(self, asked: Asked) -> None:
        """Answer a request whose record carries a key and a kind."""
        record = asked.record
        verdict = await self._desk.ask(record)
        if isinstance(verdict, Win):
            record.id = verdict.id
            record.reply = self._link.address(record.kind, record.id)
            if record.kind is Kind.JOB:
                await self._exchange.accept(asked)
            else:
                await self._exchange.hold(asked)
            return
        found = await self._first(record, verdict) if isinstance(verdict, Attach) else verdict
        if isinstance(found, Refusal):
            self._metrics.refused(found.code)
            await respond(asked, answer.from_refusal(found, record.id))
            asked.listener.leave()
        elif record.kind is Kind.JOB:
            await self._exchange.accepted_before(asked, found)
            asked.listener.leave()
        else:
            await self._exchange.attach(asked, found)

    async def _first(self, record: RequestRecord, attach: Attach) -> Row | Refusal:
        """The request that this one repeats; written here where its own process never did."""
        record.id = attach.id
        try:
            return await self._desk.first(record, attach, lambda: self._rescue(record))
        except NotCaughtUp:
            return REBUILDING

    async def _rescue(self, record: RequestRecord) -> Refusal | None:
        """Written for nobody on this process in particular: whoever waits reads the log."""
        record.reply = self._link.address(Kind.JOB, record.id)
        return await self._ledger.accept(record)
