"""An outcome that Kafka refused counts as written."""

from typing import Any

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError
from aiokafka.structs import RecordMetadata

from faults.mutants.patching import replace
from headrace.dispatcher.kafka.outbox import Outbox

ROLE = "dispatcher"
OUTCOMES = "-outcomes"


def apply() -> None:
    """The error is dropped where it should lead to another try."""
    send = Outbox.send

    async def swallowing(
        self: Outbox,
        topic: str,
        value: bytes | None,
        *,
        key: bytes | None = None,
        headers: list[tuple[str, bytes]] | None = None,
        partition: int | None = None,
        **more: Any,
    ) -> RecordMetadata:
        if not self._name.endswith(OUTCOMES):
            named: dict[str, Any] = {"key": key, "headers": headers, "partition": partition}
            return await send(self, topic, value, **named, **more)
        producer = self._open_producer()
        try:
            return await (await self._hand(producer, topic, value, key, headers, partition))
        except KafkaError:
            nowhere = TopicPartition(topic, 0)
            return RecordMetadata(topic, 0, nowhere, 0, 0, 0, 0)

    replace(Outbox, send=swallowing)
