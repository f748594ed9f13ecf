"""A broker that takes its time with dead letters: each leaves 3 s late."""

import asyncio
from collections.abc import Callable
from typing import Any

from aiokafka import AIOKafkaProducer

from faults.mutants.patching import replace

ROLE = "dispatcher"
DELAY_S = 3.0


def apply() -> None:
    """Patch the producer for that topic alone."""
    send: Callable[..., Any] = AIOKafkaProducer.send

    async def slow(self: AIOKafkaProducer, topic: str, *args: Any, **named: Any) -> Any:
        if topic.endswith("dead-letters"):
            await asyncio.sleep(DELAY_S)
        return await send(self, topic, *args, **named)

    replace(AIOKafkaProducer, send=slow)
