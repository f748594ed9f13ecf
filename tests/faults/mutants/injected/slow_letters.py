"""A broker that takes its time with dead letters: each leaves 3 s late."""

import asyncio
from typing import Any

from aiokafka import AIOKafkaProducer

ROLE = "dispatcher"
DELAY_S = 3.0


def apply() -> None:
    """Patch the producer for that topic alone."""
    send = AIOKafkaProducer.send

    async def slow(self: AIOKafkaProducer, topic: str, *args: Any, **named: Any) -> Any:
        if topic.endswith("dead-letters"):
            await asyncio.sleep(DELAY_S)
        return await send(self, topic, *args, **named)

    AIOKafkaProducer.send = slow
