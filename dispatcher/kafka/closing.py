"""Whether aiokafka's clients live, and ending them, also when Kafka is away: their own `stop` may
then never return.

What a closed client still had to send has nobody left who waits for it, or is told that it failed.
aiokafka also lets the cancellation of its own tasks leak out of `stop`; that must not end ours.
"""

import asyncio
import contextlib
from collections.abc import Awaitable

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import KafkaConnectionError, KafkaError

from headrace.telemetry.logs import Log
from headrace.telemetry.tasks import is_cancelled

_TASKS = ("_coordination_task", "_heartbeat_task", "_commit_refresh_task", "_reset_committed_task")
_BEGUN_BY_A_JOIN = ("_heartbeat_task", "_commit_refresh_task")
STOP_S = 5.0
"""How long a client may say good-bye."""


async def ended(stopping: Awaitable[None]) -> bool:
    """Await the end of a client; False where it was not reached, or not within `STOP_S`."""
    try:
        async with asyncio.timeout(STOP_S):
            await stopping
    except asyncio.CancelledError:
        if is_cancelled():
            raise
        return False
    except (TimeoutError, KafkaError, OSError):
        return False
    return True


async def end_consumer(consumer: AIOKafkaConsumer) -> bool:
    """Leave the group, if it has one, and disconnect; False where it could not say good-bye."""
    if await ended(consumer.stop()):
        return True
    # Whatever still runs of it would connect again.
    coordinator, fetcher = consumer._coordinator, consumer._fetcher  # noqa: SLF001
    tasks = [getattr(coordinator, name, None) for name in _TASKS]
    running = [task for task in tasks if task is not None and not task.done()]
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)
    if fetcher is not None:
        await ended(fetcher.close())
    await ended(consumer._client.close())  # noqa: SLF001
    return False


def is_started(consumer: AIOKafkaConsumer) -> bool:
    """Whether `start` came as far as making the tasks in the background: it cannot be called again."""
    return consumer._fetcher is not None  # noqa: SLF001


def has_died(consumer: AIOKafkaConsumer) -> bool:
    """Whether a background task of a started consumer has ended: it then reads nothing, or joins no more."""
    coordinator, fetcher = consumer._coordinator, consumer._fetcher  # noqa: SLF001
    if coordinator is None or fetcher is None:
        return False
    tasks = (coordinator._coordination_task, fetcher._fetch_task)  # noqa: SLF001
    return any(task.done() for task in tasks)


def rejoin_where_stuck(consumer: AIOKafkaConsumer, log: Log) -> None:
    """Join again where heartbeats, or reads of committed offsets, have ended with an error.

    aiokafka begins them anew at a join only, and asks for none: the group goes on without it, unseen.
    """
    coordinator = consumer._coordinator  # noqa: SLF001
    errors = [_error_of(getattr(coordinator, name, None)) for name in _BEGUN_BY_A_JOIN]
    error = next(filter(None, errors), None)
    if coordinator is None or error is None:
        return
    with contextlib.suppress(KafkaError):
        coordinator.check_errors()  # it does nothing until this was heard
    if not coordinator._rejoin_needed_fut.done():  # noqa: SLF001
        log.warning("joins_again", group=coordinator.group_id, code=type(error).__name__)
        coordinator.request_rejoin()


def _error_of(task: "asyncio.Task[None] | None") -> BaseException | None:
    return task.exception() if task is not None and task.done() and not task.cancelled() else None


async def end_producer(producer: AIOKafkaProducer) -> None:
    """Send what is pending, but no longer than `STOP_S`: what has no ack then fails."""
    if await ended(producer.stop()):
        return
    producer._message_accumulator.fail_all(KafkaConnectionError("closed"))  # noqa: SLF001
    task = producer._sender.sender_task  # noqa: SLF001
    # Its first cancel makes the sender wait for its produce calls; each further one is passed on
    # to the call it waits for.
    while task is not None and not task.done():
        task.cancel()
        await asyncio.sleep(0)
    await ended(producer.client.close())
