"""An ingress with an inbox for the tenant acme, and plain Kafka clients on both of its sides."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest_asyncio
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.structs import ConsumerRecord

from headrace.cli.localkafka import LocalKafka
from headrace.schemas.config.model import Config
from headrace.schemas.names import Tenant
from headrace.schemas.topics import Topics, topic_specs
from support.eventually import eventually
from support.serving import create_topics, ingress_config, serving, url

Record = ConsumerRecord[bytes, bytes]


class Post:
    """Writes to acme's inbox and reads any topic; `url` is where the ingress answers."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.url = ""
        self.topics = Topics(config.kafka.topic_prefix)
        self.inbox = self.topics.inbox(Tenant("acme"))
        self.answers = f"{self.topics.prefix}out.acme.answers"
        self._servers = list(config.kafka.bootstrap_servers)
        self._partitions = {spec.name: spec.partitions for spec in topic_specs(config)}

    async def write(self, value: bytes | None, **headers: str) -> tuple[int, int]:
        """One record; `_` in a header's name stands for `-`, but in `ce_`."""
        pairs = [
            (name if name.startswith("ce_") else name.replace("_", "-"), text.encode())
            for name, text in headers.items()
        ]
        return await self.write_to(self.inbox, value, pairs)

    async def write_to(
        self, topic: str, value: bytes | None, headers: list[tuple[str, bytes]]
    ) -> tuple[int, int]:
        """One record with exactly these headers; returns its partition and offset."""
        async with AIOKafkaProducer(bootstrap_servers=self._servers, acks="all") as producer:
            ack = await producer.send_and_wait(topic, value, headers=headers)
        return ack.partition, ack.offset

    async def read(self, topic: str, count: int = 1, within_s: float = 40.0) -> list[Record]:
        """All records of a topic, once there are `count`."""

        async def enough() -> list[Record]:
            found = await self.dump(topic)
            return found if len(found) >= count else []

        return await eventually(enough, within_s=within_s, every_s=0.1)

    async def dump(self, topic: str) -> list[Record]:
        """All that a topic holds now."""
        found: list[Record] = []
        places = [TopicPartition(topic, n) for n in range(self._partitions.get(topic, 1))]
        async with AIOKafkaConsumer(bootstrap_servers=self._servers) as consumer:
            consumer.assign(places)
            await consumer.seek_to_beginning(*places)
            for place, end in (await consumer.end_offsets(places)).items():
                while await consumer.position(place) < end:
                    batch = await consumer.getmany(place, timeout_ms=1000)
                    found += [record for records in batch.values() for record in records]
        return found

    async def committed(self) -> int:
        """How many records of the inbox are done with."""
        admin = AIOKafkaAdminClient(bootstrap_servers=self._servers)
        await admin.start()
        try:
            offsets = await admin.list_consumer_group_offsets(self.topics.intake_group)
        finally:
            await admin.close()
        return sum(told.offset for tp, told in offsets.items() if tp.topic == self.inbox)

    async def committed_to(self, count: int) -> None:
        """Wait until so many are."""

        async def reached() -> bool:
            return await self.committed() >= count

        await eventually(reached, within_s=40, every_s=0.1)


StartIntake = Callable[..., Any]


@pytest_asyncio.fixture
async def start_intake(kafka: LocalKafka, topic_prefix: str) -> AsyncIterator[StartIntake]:
    """`await start_intake(**config sections)`: a `Post` before a running ingress."""
    async with AsyncExitStack() as exits:

        async def make(**sections: Any) -> Post:
            told = {"tenants": {"acme": {"inbox": True}}} | sections
            config = ingress_config(kafka.bootstrap, topic_prefix, **told)
            await create_topics(config)
            post = Post(config)
            await _create(config, post.answers)
            post.url = url(await exits.enter_async_context(serving(config)))
            return post

        yield make


async def _create(config: Config, *names: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=list(config.kafka.bootstrap_servers))
    await admin.start()
    try:
        await admin.create_topics([NewTopic(name, 1, 1) for name in names])
    finally:
        await admin.close()
