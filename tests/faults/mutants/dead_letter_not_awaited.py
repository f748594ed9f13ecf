"""The dead letter is sent off, and nobody waits until Kafka has it."""

import asyncio
from typing import Any

from faults.mutants.patching import replace
from headrace.dispatcher.settle import Settlement

ROLE = "dispatcher"


def apply() -> None:
    """Its task goes on beside the answer."""
    bury = Settlement._bury
    sent: set[asyncio.Task[None]] = set()

    async def careless(self: Settlement, *args: Any, **named: Any) -> None:
        task = asyncio.create_task(bury(self, *args, **named))
        sent.add(task)

    replace(Settlement, _bury=careless)
