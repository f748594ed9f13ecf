"""Getting to Kafka at the start: a broker that is away, or a topic that is missing, is waited for."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from headrace.schemas.config.clients import client_options
from headrace.schemas.config.model import Config
from headrace.schemas.errors import Code
from headrace.schemas.topics import topic_specs
from headrace.telemetry.logs import Log

PAUSE_S = 1.0
Done = TypeVar("Done")


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
            await self.patiently(client.start)
        while missing := self._wanted - set(await self.patiently(self.admin.list_topics)):
            self.problem = Code.KAFKA_TOPIC_MISSING
            self._log.warning(
                "topics_missing", count=len(missing), topic=min(missing), code=self.problem.value
            )
            await asyncio.sleep(PAUSE_S)

    async def partitions(self, topic: str) -> int:
        """How many partitions a topic that is there has."""
        while True:
            (described,) = await self.patiently(lambda: self.admin.describe_topics([topic]))
            if described["partitions"]:
                return len(described["partitions"])
            await asyncio.sleep(PAUSE_S)

    async def patiently(self, act: Callable[[], Awaitable[Done]]) -> Done:
        """Do what a Kafka that is away, or goes away meanwhile, can make fail, until it succeeds."""
        while True:
            try:
                return await act()
            except KafkaError as error:
                self.problem = Code.KAFKA_UNAVAILABLE
                self._log.warning("kafka_unreachable", code=type(error).__name__)
                await asyncio.sleep(PAUSE_S)

    async def close(self) -> None:
        """Close the admin client."""
        await self.admin.close()
