"""Rows of running attempts: few of them, and none of a call that is over when it would be told."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

import pytest
from aiokafka.structs import RecordMetadata

from headrace.dispatcher.kafka.outbox import Outbox
from headrace.dispatcher.kafka.states import States
from headrace.schemas.names import DeploymentName, Outcome, RequestId, Tenant
from headrace.schemas.status import Running, Status, Terminal, decode
from headrace.telemetry.logs import get_log
from support.eventually import eventually


class Broker:
    """An outbox whose Kafka acknowledges at once."""

    def __init__(self) -> None:
        self.rows: list[Status] = []

    async def post(
        self, _topic: str, value: bytes, *, key: bytes, partition: int
    ) -> "asyncio.Future[RecordMetadata]":
        assert key
        assert partition >= 0
        self.rows.append(decode(value))
        ack: asyncio.Future[RecordMetadata] = asyncio.get_running_loop().create_future()
        ack.set_result(cast("RecordMetadata", None))
        return ack

    async def send(self, topic: str, value: bytes, *, key: bytes, partition: int) -> None:
        await self.post(topic, value, key=key, partition=partition)


@asynccontextmanager
async def states(broker: Broker) -> AsyncIterator[States]:
    outbox = cast("Outbox", broker)
    made = States("status", passing=outbox, finals=outbox, log=get_log())
    running = asyncio.create_task(made.run())
    yield made
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


def row(
    name: str, attempt: int = 1, chunks: tuple[int, int] | None = None, tenant: str = "t"
) -> Running:
    return Running(
        tenant=Tenant(tenant), id=RequestId(name), attempt=attempt,
        deployment=DeploymentName("small"), source="d-1", chunks=chunks,
    )  # fmt: skip


def end(name: str) -> Terminal:
    return Terminal(
        tenant=Tenant("t"), id=RequestId(name), outcome=Outcome.COMPLETED, status=200, attempt=1
    )


async def test_of_a_short_call_only_the_end_is_told_and_of_a_longer_one_its_last_attempt() -> None:
    broker = Broker()
    async with states(broker) as written:
        written.running(row("short"))
        written.running(row("long"))
        written.running(row("long", attempt=2))
        await written.ended(end("short"))
        await eventually(lambda: len(broker.rows) == 2)
    assert broker.rows == [end("short"), row("long", attempt=2)]


async def test_an_id_of_two_tenants_is_two_requests() -> None:
    broker = Broker()
    async with states(broker) as written:
        written.running(row("same", tenant="other"))
        written.running(row("same"))
        await written.ended(end("same"))
        await eventually(lambda: len(broker.rows) == 2)
    assert broker.rows == [end("same"), row("same", tenant="other")]


async def test_where_the_first_chunk_stands_is_told_without_waiting_for_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("headrace.dispatcher.kafka.states.GATHER_S", 3_600)
    broker = Broker()
    async with states(broker) as written:
        written.running(row("a"))
        written.running(row("a", chunks=(1, 7)))
        await eventually(lambda: len(broker.rows) == 1)
    assert broker.rows == [row("a", chunks=(1, 7))]
