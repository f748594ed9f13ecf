"""Ending aiokafka's clients, also when Kafka is away: their own `stop` may then never return.

What a closed client still had to send has nobody left who waits for it, or is told that it failed.
aiokafka also lets the cancellation of its own tasks leak out of `stop`; that must not end ours.
"""

import asyncio
from collections.abc import Awaitable

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaConnectionError, KafkaError

STOP_S = 5.0
"""How long a client may say good-bye."""


def is_cancelled() -> bool:
    """Whether somebody really wants the current task to end."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


async def ended(stopping: Awaitable[None], within_s: float = STOP_S) -> bool:
    """Await the end of a client; False where it did not come in time."""
    try:
        async with asyncio.timeout(within_s):
            await stopping
    except asyncio.CancelledError:
        if is_cancelled():
            raise
    except TimeoutError:
        return False
    except (KafkaError, OSError):
        return True
    return True


async def end_producer(producer: AIOKafkaProducer, within_s: float = STOP_S) -> None:
    """Send what is pending, but no longer than `within_s`: what has no ack then fails."""
    if await ended(producer.stop(), within_s):
        return
    producer._message_accumulator.fail_all(KafkaConnectionError("closed"))  # noqa: SLF001
    task = producer._sender.sender_task  # noqa: SLF001
    # Its first cancel makes the sender wait for its produce calls; each further one is passed on
    # to the call it waits for.
    while task is not None and not task.done():
        task.cancel()
        await asyncio.sleep(0)
    await ended(producer.client.close(), within_s)
