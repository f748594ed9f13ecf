"""The dead letter is sent off, and nobody waits until Kafka has it."""

import asyncio
from typing import Any

from faults.mutants.patching import replace
from headrace.dispatcher.kafka.letters import Letters

ROLE = "dispatcher"


def apply() -> None:
    """Its task goes on beside the answer."""
    bury = Letters.bury
    sent: set[asyncio.Task[None]] = set()

    async def careless(self: Letters, *args: Any, **named: Any) -> None:
        task = asyncio.create_task(bury(self, *args, **named))
        sent.add(task)

    replace(Letters, bury=careless)
