"""The `status` topic as the dispatcher writes it: attempts that run, and requests that ended.

What runs is told in passing and may be lost with the process; what ended is acknowledged by Kafka
before the request counts as done (P2). Of a call that ends within `GATHER_S` only its end is told: a row
costs the fleet about as much as a short call does.
"""

import asyncio
import contextlib

from aiokafka.errors import KafkaError

from headrace.dispatcher.kafka.outbox import Outbox, Undeliverable
from headrace.schemas.names import Identity
from headrace.schemas.status import Running, Terminal, encode, indexed_partition, status_key
from headrace.telemetry.logs import Log

GATHER_S = 0.05
"""How long rows of running attempts gather, unless one tells where its first chunk stands."""
MAX_PENDING = 10_000
"""Rows of running attempts that wait for Kafka; beyond it the newest are not told."""


class States:
    """Rows of one process on their way."""

    def __init__(self, topic: str, *, passing: Outbox, finals: Outbox, log: Log) -> None:
        """Running rows leave through `passing`, terminal ones through `finals`."""
        self._topic = topic
        self._passing = passing
        self._finals = finals
        self._log = log
        self._pending: dict[Identity, Running] = {}
        self._wake = asyncio.Event()
        self._hurry = asyncio.Event()

    def running(self, row: Running) -> None:
        """Tell of an attempt, without waiting."""
        if len(self._pending) >= MAX_PENDING:
            self._log.warning("state_lost", request_id=row.id, code="states_backlog_full")
            return
        self._pending[row.tenant, row.id] = row
        self._wake.set()
        if row.chunks is not None:
            self._hurry.set()

    async def ended(self, row: Terminal) -> None:
        """Returns when Kafka has acknowledged it."""
        self._pending.pop((row.tenant, row.id), None)
        key = status_key(row.tenant, row.id)
        await self._finals.send(self._topic, encode(row), key=key, partition=indexed_partition(key))

    async def run(self) -> None:
        """Write the rows of running attempts, until cancelled."""
        while True:
            await self._wake.wait()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(GATHER_S):
                    await self._hurry.wait()
            self._wake.clear()
            self._hurry.clear()
            while self._pending:
                await self._post(self._pending.pop(next(iter(self._pending))))

    async def _post(self, row: Running) -> None:
        key = status_key(row.tenant, row.id)
        try:
            ack = await self._passing.post(
                self._topic, encode(row), key=key, partition=indexed_partition(key)
            )
        except (KafkaError, Undeliverable) as error:
            self._log.warning("state_lost", request_id=row.id, code=type(error).__name__)
        else:
            # Only looked at, so that asyncio does not complain about an error that nobody saw.
            ack.add_done_callback(lambda done: done.cancelled() or done.exception())
