"""The consumer commits what it has read, as aiokafka does by default."""

from collections.abc import Callable
from typing import Any

from aiokafka import AIOKafkaConsumer

from faults.mutants.patching import replace
from headrace.dispatcher.kafka import source

ROLE = "dispatcher"


def apply() -> None:
    """The options of the consumers of lanes and delay topics."""
    consumer: Callable[..., Any] = AIOKafkaConsumer

    def committing(**options: Any) -> Any:
        changed = {"enable_auto_commit": True, "auto_commit_interval_ms": 500}
        return consumer(**(options | changed))

    replace(source, AIOKafkaConsumer=committing)
