"""A broker that takes its time with outcomes: each final, retry and dead letter leaves 1.2 s late."""

import asyncio
from collections.abc import Callable
from typing import Any

from aiokafka import AIOKafkaProducer

from faults.mutants.patching import replace

ROLE = "dispatcher"
OUTCOMES = "-outcomes"
DELAY_S = 1.2


def apply() -> None:
    """Patch the producer; chunks and the journal are as quick as ever."""
    send: Callable[..., Any] = AIOKafkaProducer.send

    async def slow(self: AIOKafkaProducer, *args: Any, **named: Any) -> Any:
        if self.client._client_id.endswith(OUTCOMES):
            await asyncio.sleep(DELAY_S)
        return await send(self, *args, **named)

    replace(AIOKafkaProducer, send=slow)
