"""What stands where the dispatcher's adapters name aiokafka's three clients, all on the simulated broker."""

from typing import Any

from aiokafka import TopicPartition
from aiokafka.structs import OffsetAndMetadata
from simulation.broker import Broker
from simulation.consumer import Consumer
from simulation.producer import Producer


class Clients:
    """Makes the three kinds of clients of one run; stands where aiokafka's classes stand."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    def producer(self, **options: Any) -> Producer:
        return Producer(self._broker, **options)

    def consumer(self, **options: Any) -> Consumer:
        return Consumer(self._broker, **options)

    def admin(self, **_options: Any) -> "Admin":
        return Admin(self._broker)


class Admin:
    """What is asked about topics and groups."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    async def start(self) -> None:
        await self._broker.request(lambda: None)

    async def close(self) -> None:
        """Nothing to close."""

    async def list_topics(self) -> list[str]:
        found: list[str] = await self._broker.request(lambda: list(self._broker.topics))
        return found

    async def describe_topics(self, names: list[str] | None = None) -> list[dict[str, Any]]:
        wanted = list(self._broker.topics) if names is None else names
        found: list[dict[str, Any]] = await self._broker.request(
            lambda: [self._describe(name) for name in wanted]
        )
        return found

    async def list_consumer_group_offsets(
        self, group_id: str, partitions: list[TopicPartition] | None = None
    ) -> dict[TopicPartition, OffsetAndMetadata]:
        group = self._broker.group(group_id)
        missing = OffsetAndMetadata(-1, "")
        wanted = list(group.offsets) if partitions is None else partitions
        found: dict[TopicPartition, OffsetAndMetadata] = await self._broker.request(
            lambda: {place: group.offsets.get(place, missing) for place in wanted}
        )
        return found

    def _describe(self, name: str) -> dict[str, Any]:
        count = self._broker.topics.get(name, 0)
        return {
            "topic": name,
            "error_code": 0 if count else 3,
            "partitions": [{"partition": n, "leader": 0} for n in range(count)],
        }
