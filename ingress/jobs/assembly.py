"""The parts of this room with everything they need, as the composition root makes and runs them."""

import random
from collections.abc import Callable, Coroutine
from typing import Any

from headrace.ingress.accounts import Accounts
from headrace.ingress.board import ReplyBoard
from headrace.ingress.index import Indexing
from headrace.ingress.jobs.exchange import Exchange
from headrace.ingress.jobs.grace import Grace
from headrace.ingress.jobs.interest import Interest
from headrace.ingress.jobs.ledger import Ledger
from headrace.ingress.jobs.routes import JobRoutes
from headrace.ingress.jobs.sweeper import Sweeper
from headrace.ingress.jobs.tail import Sources
from headrace.ingress.jobs.watch import Watch
from headrace.ingress.kafka.cancels import Cancels
from headrace.ingress.kafka.chunks import Chunks
from headrace.ingress.kafka.outbox import Outbox
from headrace.ingress.metrics import Metrics
from headrace.ingress.policy import AdmissionPolicy
from headrace.schemas.config.clients import client_options
from headrace.schemas.config.model import Config
from headrace.schemas.names import InstanceId, RequestId
from headrace.schemas.topics import Topics
from headrace.telemetry.logs import Log


class Jobs:
    """What treats requests with a kind. No other request touches any of it."""

    def __init__(
        self, config: Config, *, instance: InstanceId, policy: AdmissionPolicy, board: ReplyBoard,
        indexing: Indexing, outbox: Outbox, cancels: Cancels, accounts: Accounts, metrics: Metrics,
        now_ms: Callable[[], int], monotonic: Callable[[], float], new_id: Callable[[], RequestId],
        log: Log,
    ) -> None:  # fmt: skip
        limits, index = config.ingress, indexing.index
        replies = Topics(config.kafka.topic_prefix).replies
        self._chunks = Chunks(client_options(config.kafka), replies, log)
        self.watch = Watch(index)
        sources = Sources(
            index=index,
            watch=self.watch,
            results=indexing.results,
            chunks=self._chunks,
            monotonic=monotonic,
            keepalive_s=limits.keepalive_s,
        )
        self.ledger = ledger = Ledger(outbox, indexing.states, cancels, index, monotonic)
        grace = Grace(limits.disconnect_grace_s)
        self.interest = interest = Interest(instance, indexing.claims, grace)
        self.exchange = Exchange(
            board=board,
            ledger=ledger,
            grace=grace,
            interest=interest,
            sources=sources,
            accounts=accounts,
            metrics=metrics,
            max_sync_wait_s=limits.max_sync_wait_s,
        )
        self.routes = JobRoutes(
            policy=policy,
            sources=sources,
            ledger=ledger,
            interest=interest,
            metrics=metrics,
            new_id=new_id,
        )
        self._sweeper = Sweeper(index, ledger, now_ms, monotonic, random.random, log)

    def tasks(self) -> tuple[tuple[str, Coroutine[Any, Any, None]], ...]:
        """What runs as long as the process does, by name."""
        return ("grace", self.exchange.run()), ("sweeper", self._sweeper.run())

    async def close(self) -> None:
        """End the readers of chunks; after the tasks have ended."""
        await self._chunks.close()
