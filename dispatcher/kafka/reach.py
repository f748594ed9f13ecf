"""Getting to Kafka at the start: a broker that is away, or a topic that is missing, is waited for."""

import asyncio
from typing import Protocol

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from headrace.dispatcher.kafka.connection import client_options
from headrace.schemas.config.model import Config
from headrace.schemas.errors import Code
from headrace.schemas.topics import topic_specs
from headrace.telemetry.logs import Log

PAUSE_S = 1.0


class Startable(Protocol):
    """A Kafka client of ours."""

    async def start(self) -> None:
        """Connect. Raises `KafkaError`."""
        ...


class Reach:
    """Connects the clients of one process; `problem` says what it waits for, as a stable code."""

    def __init__(self, config: Config, name: str, log: Log) -> None:
        self.admin = AIOKafkaAdminClient(**client_options(config.kafka), client_id=name)
        self.problem = Code.NOT_READY
        self._wanted = {spec.name for spec in topic_specs(config)}
        self._log = log

    async def connect(self, *clients: Startable) -> None:
        """Start the admin client and `clients`; returns once all topics are there."""
        for client in (self.admin, *clients):
            await self._start(client)
        while missing := self._wanted - set(await self.admin.list_topics()):
            self.problem = Code.KAFKA_TOPIC_MISSING
            self._log.warning(
                "topics_missing", count=len(missing), topic=min(missing), code=self.problem.value
            )
            await asyncio.sleep(PAUSE_S)

    async def partitions(self, topic: str) -> int:
        """How many partitions a topic that is there has."""
        (described,) = await self.admin.describe_topics([topic])
        return len(described["partitions"])

    async def close(self) -> None:
        """Close the admin client."""
        await self.admin.close()

    async def _start(self, client: Startable) -> None:
        while True:
            try:
                return await client.start()
            except KafkaError as error:
                self.problem = Code.KAFKA_UNAVAILABLE
                self._log.warning("kafka_unreachable", code=type(error).__name__)
                await asyncio.sleep(PAUSE_S)
