"""The supervised producer, on a Kafka of its own that is killed, and on one that goes on."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, OutOfOrderSequenceNumber

from headrace.cli.localkafka import LocalKafka
from headrace.dispatcher.kafka.outbox import BATCH_BYTES, Outbox
from headrace.schemas.config.kafka import KafkaConfig
from headrace.telemetry.logs import Log, get_log
from support.eventually import eventually

HALF_A_BATCH = b"x" * (BATCH_BYTES // 2 + 1_000)


class Warnings:
    """A log that keeps the codes it was told."""

    def __init__(self) -> None:
        self.codes: list[str] = []

    def warning(self, _event: str, *, code: str = "", **_: object) -> None:
        self.codes.append(code)

    info = warning


@asynccontextmanager
async def open_outbox(bootstrap: str, log: Log | None = None) -> AsyncIterator[tuple[Outbox, str]]:
    """An outbox and a topic of one partition."""
    topic = f"t{uuid.uuid4().hex}"
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    await admin.create_topics([NewTopic(topic, 1, 1)])
    await admin.close()
    kafka = KafkaConfig(bootstrap_servers=[bootstrap], request_timeout_s=1)
    outbox = Outbox(kafka, "outbox", log or get_log())
    await outbox.start()
    try:
        yield outbox, topic
    finally:
        await outbox.close()


async def test_an_outage_longer_than_the_time_out_ends_no_sender(tmp_path: Path) -> None:
    """With more than a batch to send, the producer was taken for dead and could not be replaced."""
    warnings = Warnings()
    async with (
        LocalKafka(tmp_path) as kafka,
        open_outbox(kafka.bootstrap, cast("Log", warnings)) as (outbox, topic),
    ):
        await outbox.send(topic, b"before")
        await kafka.node.kill()
        sending = [asyncio.create_task(outbox.send(topic, HALF_A_BATCH)) for _ in range(6)]
        await eventually(lambda: warnings.codes.count("KafkaTimeoutError") > 2)
        await kafka.node.start()
        async with asyncio.timeout(60):
            acks = await asyncio.gather(*sending)
        assert sorted(ack.offset for ack in acks) == [1, 2, 3, 4, 5, 6]
        assert "kafka_producer_replaced" not in warnings.codes


async def test_an_outbox_closes_while_kafka_is_away(tmp_path: Path) -> None:
    """The library waits without end for what it cannot send, and the process could not stop."""
    async with LocalKafka(tmp_path) as kafka, open_outbox(kafka.bootstrap) as (outbox, topic):
        await outbox.send(topic, b"before")
        await kafka.node.kill()
        ack = await outbox.post(topic, b"never")
        async with asyncio.timeout(60):
            await outbox.close()
        assert isinstance(ack.exception(), KafkaError)


async def test_a_producer_that_died_is_replaced_also_where_records_are_only_posted(
    kafka: LocalKafka,
) -> None:
    """Chunks are posted only: each later stream of the process was broken."""
    async with open_outbox(kafka.bootstrap) as (outbox, topic):
        producer = outbox._producer
        assert producer is not None
        await (await outbox.post(topic, b"before"))
        producer._message_accumulator.fail_all(OutOfOrderSequenceNumber())
        refused = await asyncio.gather(outbox.post(topic, b"refused"), return_exceptions=True)
        assert isinstance(refused[0], OutOfOrderSequenceNumber)
        assert (await (await outbox.post(topic, b"after"))).offset == 1


async def test_a_topic_that_is_not_found_is_not_waited_for_when_the_producer_is_replaced(
    kafka: LocalKafka,
) -> None:
    """aiokafka looks for it for ever, once its client is closed."""
    async with open_outbox(kafka.bootstrap) as (outbox, topic):
        posting = asyncio.create_task(outbox.post(f"{topic}.not", b"v", partition=0))
        await asyncio.sleep(0)
        await outbox._mend(outbox._open_producer())
        async with asyncio.timeout(30):
            ends = await asyncio.gather(posting, return_exceptions=True)
        assert isinstance(ends[0], KafkaError), ends
        await outbox.send(topic, b"after it")


async def test_records_that_are_handed_over_together_arrive_in_their_order(
    kafka: LocalKafka,
) -> None:
    """More of them than one batch holds."""
    records = [(b"key", b"%04d" % n + b"x" * 1_000) for n in range(BATCH_BYTES // 500)]
    async with open_outbox(kafka.bootstrap) as (outbox, topic):
        acks = await asyncio.gather(*await outbox.post_all(topic, records, partition=0))
        assert [ack.offset for ack in acks] == sorted({ack.offset for ack in acks})
        assert 1 < len(acks) < 10
        consumer = AIOKafkaConsumer(
            topic, bootstrap_servers=kafka.bootstrap, auto_offset_reset="earliest"
        )
        async with consumer, asyncio.timeout(30):
            read = [await consumer.getone() for _ in records]
    assert [(one.key, one.value) for one in read] == records
