"""A broker without enough replicas, now and then: one outcome in three is refused once."""

from collections.abc import Callable
from itertools import count
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import NotEnoughReplicasError

from faults.mutants.patching import replace

ROLE = "dispatcher"
OUTCOMES = "-outcomes"
EACH = 3


def apply() -> None:
    """Patch the producer; what is refused was not written."""
    send: Callable[..., Any] = AIOKafkaProducer.send
    turns = count(1)

    async def refusing(self: AIOKafkaProducer, *args: Any, **named: Any) -> Any:
        if self.client._client_id.endswith(OUTCOMES) and next(turns) % EACH == 0:
            raise NotEnoughReplicasError
        return await send(self, *args, **named)

    replace(AIOKafkaProducer, send=refusing)
