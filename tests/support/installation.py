"""A whole installation of real processes on the session's Kafka, and plain Kafka clients beside it."""

import asyncio
import contextlib
import hashlib
import json
import uuid
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.structs import ConsumerRecord

from headrace.cli.localkafka import free_ports
from headrace.cli.mock.log import LoggedCall, read_log
from headrace.cli.up import Stack
from headrace.cli.up.layout import merged
from headrace.schemas.topics import Topics
from support.eventually import eventually

Record = ConsumerRecord[bytes, bytes]


class Installation:
    """A running stack under a prefix of its own."""

    def __init__(self, stack: Stack, prefix: str) -> None:
        self.stack = stack
        self.topics = Topics(prefix)
        self.bootstrap = stack.bootstrap
        self.url = f"{stack.ingress_url}/v1"
        self.upstream_url = f"{stack.mock_url}/v1"

    def calls(self, request_id: str | None = None) -> list[LoggedCall]:
        """The upstream's own log, of one request or whole."""
        every = read_log(self.stack.mock_log)
        return [one for one in every if request_id in (None, one.received.request_id)]

    def calls_with(self, body: bytes) -> list[LoggedCall]:
        """The upstream's own log of the calls that carried `body`."""
        digest = hashlib.sha256(body).hexdigest()
        return [one for one in self.calls() if one.received.body_sha256 == digest]

    async def topic(self, name: str, partitions: int = 1) -> str:
        """Create a topic of a test's own; returns its name."""
        admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap)
        await admin.start()
        try:
            await admin.create_topics([NewTopic(name, partitions, 1)])
        finally:
            await admin.close()
        return name

    async def produce(
        self,
        topic: str,
        value: bytes,
        *,
        key: bytes | None = None,
        headers: Mapping[str, bytes] | Sequence[tuple[str, bytes]] = (),
        partition: int | None = None,
    ) -> tuple[int, int]:
        """Write one record as any client would; returns its partition and offset."""
        producer = AIOKafkaProducer(bootstrap_servers=self.bootstrap, acks="all")
        await producer.start()
        try:
            pairs = list(headers.items() if isinstance(headers, Mapping) else headers)
            ack = await producer.send_and_wait(
                topic, value, key=key, headers=pairs, partition=partition
            )
        finally:
            await producer.stop()
        return ack.partition, ack.offset

    async def produce_all(self, topic: str, values: Sequence[bytes], partition: int) -> int:
        """Write many records without headers; returns the last one's offset."""
        producer = AIOKafkaProducer(bootstrap_servers=self.bootstrap, acks="all")
        await producer.start()
        try:
            acks = [await producer.send(topic, value, partition=partition) for value in values]
            return max(ack.offset for ack in await asyncio.gather(*acks))
        finally:
            await producer.stop()

    async def read(self, topic: str, count: int = 1, within_s: float = 120.0) -> list[Record]:
        """The first `count` records of a topic. Raises `AssertionError` when fewer come in time."""
        records: list[Record] = []
        async with _reader(self.bootstrap, topic) as consumer:
            while len(records) < count:
                batches = await consumer.getmany(timeout_ms=round(within_s * 1000))
                assert batches, f"{len(records)} of {count} records in {topic} within {within_s} s"
                records += [record for batch in batches.values() for record in batch]
        return records

    async def read_matching(
        self, topic: str, wanted: Callable[[Record], bool], within_s: float = 120.0
    ) -> list[Record]:
        """What a topic holds that is `wanted`, once there is any."""

        async def found() -> list[Record]:
            return [record for record in await self.dump(topic) if wanted(record)]

        return await eventually(found, within_s=within_s, every_s=0.2)

    async def dump(self, topic: str) -> list[Record]:
        """All that a topic holds now."""
        records: list[Record] = []
        async with _reader(self.bootstrap, topic) as consumer:
            ends = await consumer.end_offsets(list(consumer.assignment()))
            missing = {tp: end for tp, end in ends.items() if end > await consumer.position(tp)}
            while missing:
                for tp, batch in (await consumer.getmany(timeout_ms=1_000)).items():
                    records += batch
                    if batch[-1].offset + 1 >= missing.get(tp, 0):
                        missing.pop(tp, None)
        return records


@contextlib.asynccontextmanager
async def installation(
    bootstrap: str,
    folder: Path,
    *,
    dispatchers: int = 1,
    overlay: Mapping[str, object] | None = None,
    models: Mapping[str, Mapping[str, object]] | None = None,
    mock: Sequence[str] = ("--latency-ms", "1"),
    local_model: bool = False,
    governor: bool = False,
) -> AsyncIterator[Installation]:
    """Start ingress, dispatchers and the mock on the Kafka at `bootstrap`; stop them at the end.

    `models`: name -> settings of the one deployment that serves it from the mock, under the same
    name there, so that bodies stay as they are; without it the stack's own (`small`, `flaky`, and
    with `local_model` a real one).
    """
    prefix = f"t{uuid.uuid4().hex[:10]}."
    base = {
        "kafka": {"topic_prefix": prefix, "partitions": SMALL},
        # More than the default's 2 s: two busy cores are no absent broker.
        "ingress": {"kafka_grace_s": 5},
    }
    tree = merged(base, overlay or {})
    (mock_port,) = free_ports(1)
    if models is not None:
        upstream = {"base_url": f"http://127.0.0.1:{mock_port}/v1"}
        tree["deployments"] = [
            {"name": name, "model": name, "upstream": upstream, **settings}
            for name, settings in models.items()
        ]
    stack = Stack(
        folder,
        dispatchers=dispatchers,
        bootstrap=bootstrap,
        overlay=tree,
        mock_arguments=mock,
        ports={"mock": mock_port},
        local_model=local_model,
        governors=int(governor),
    )
    async with stack:
        await stack.dispatchers_ready()
        yield Installation(stack, prefix)


SMALL = {
    "requests": 4,
    "delay": 1,
    "replies": 2,
    "control": 1,
    "dead_letters": 1,
    "events": 1,
}
"""Few partitions: a test creates and deletes its topics on a Kafka that others use too."""


def chat(text: str, model: str = "small", **more: object) -> bytes:
    """The body of a chat request; `user` may hold a script for the mock."""
    message = {"role": "user", "content": text}
    return json.dumps({"model": model, "messages": [message], **more}).encode()


def most_at_once(calls: Sequence[LoggedCall]) -> int:
    """How many of `calls` the upstream held at a time, at most; an end counts before a start."""
    ends = [(one.finished.finished_at, -1) for one in calls if one.finished]
    running = most = 0
    for _, step in sorted([*ends, *((one.received.received_at, 1) for one in calls)]):
        running += step
        most = max(most, running)
    return most


def header(record: Record, name: str) -> bytes | None:
    """The value of a header, None if there is none."""
    return dict(record.headers).get(name)


@contextlib.asynccontextmanager
async def _reader(bootstrap: str, topic: str) -> AsyncIterator["AIOKafkaConsumer[bytes, bytes]"]:
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, isolation_level="read_committed")
    await consumer.start()
    try:
        admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
        await admin.start()
        (described,) = await admin.describe_topics([topic])
        await admin.close()
        partitions = [TopicPartition(topic, one["partition"]) for one in described["partitions"]]
        consumer.assign(partitions)
        await consumer.seek_to_beginning(*partitions)
        yield consumer
    finally:
        await consumer.stop()
