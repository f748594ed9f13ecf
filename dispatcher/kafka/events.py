"""The `events` topic: one record for each attempt and each end of a request, for the accounts.

Events are soft: gathered for a moment and sent together, so that they never stand in the way of an
answer. What is not yet sent when a process is killed is missing there, and nowhere else.
"""

import asyncio
from asyncio import Future
from collections import defaultdict

from aiokafka.errors import KafkaError
from aiokafka.structs import RecordMetadata

from headrace.dispatcher.kafka.outbox import Outbox, Undeliverable
from headrace.schemas.names import Tenant
from headrace.schemas.topics import key_partition
from headrace.telemetry.logs import Log

GATHER_S = 0.05
MAX_PENDING = 20_000


class Events:
    """Events of one process on their way."""

    def __init__(self, topic: str, outbox: Outbox, log: Log) -> None:
        self.partitions = 1
        """How many the topic has; known once Kafka is reached."""
        self._topic = topic
        self._outbox = outbox
        self._log = log
        self._pending: list[tuple[Tenant, bytes]] = []
        self._wake = asyncio.Event()

    def add(self, tenant: Tenant, value: bytes) -> None:
        """Queue one event; lost, and said so, when Kafka has taken none for long."""
        if len(self._pending) >= MAX_PENDING:
            self._log.warning("events_lost", code="events_backlog_full")
            return
        self._pending.append((tenant, value))
        self._wake.set()

    async def run(self) -> None:
        """Send what was gathered, until cancelled."""
        while True:
            await self._wake.wait()
            await asyncio.sleep(GATHER_S)
            await self.flush()

    async def flush(self) -> None:
        """Hand over what is pending; the acks are only observed."""
        self._wake.clear()
        pending, self._pending = self._pending, []
        tenants: defaultdict[Tenant, list[bytes]] = defaultdict(list)
        for tenant, value in pending:
            tenants[tenant].append(value)
        places: defaultdict[int, list[tuple[bytes, bytes]]] = defaultdict(list)
        for tenant, values in tenants.items():
            key = tenant.encode()
            places[key_partition(key, self.partitions)] += [(key, value) for value in values]
        for partition, records in places.items():
            try:
                acks = await self._outbox.post_all(self._topic, records, partition=partition)
            except (KafkaError, Undeliverable) as error:
                self._lost(error)
            else:
                for ack in acks:
                    ack.add_done_callback(self._acked)

    def _acked(self, ack: "Future[RecordMetadata]") -> None:
        error = None if ack.cancelled() else ack.exception()
        if error is not None:
            self._lost(error)

    def _lost(self, error: BaseException) -> None:
        self._log.warning("events_lost", code=type(error).__name__)
