"""The consumer commits what it has read, as aiokafka does by default."""

from typing import Any

from headrace.dispatcher.kafka import source

ROLE = "dispatcher"


def apply() -> None:
    """The options of the consumers of lanes and delay topics."""
    consumer = source.AIOKafkaConsumer

    def committing(**options: Any) -> Any:
        changed = {"enable_auto_commit": True, "auto_commit_interval_ms": 500}
        return consumer(**(options | changed))

    source.AIOKafkaConsumer = committing  # type: ignore[misc,assignment]
