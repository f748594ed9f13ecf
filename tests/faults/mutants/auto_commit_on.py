"""The consumer commits what it has read, as aiokafka does by default."""

from collections.abc import Callable
from typing import Any

from aiokafka import AIOKafkaConsumer

from faults.mutants.patching import replace

ROLE = "dispatcher"


def apply() -> None:
    """The options of the consumers that are in a group: those of lanes and delay topics."""
    begin: Callable[..., None] = AIOKafkaConsumer.__init__

    def committing(self: AIOKafkaConsumer, *topics: str, **options: Any) -> None:
        changed = {"enable_auto_commit": True, "auto_commit_interval_ms": 500}
        begin(self, *topics, **(options | changed if options.get("group_id") else options))

    replace(AIOKafkaConsumer, __init__=committing)
