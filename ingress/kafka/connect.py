"""How this room's Kafka clients start and end, and what their errors mean to an operator."""

import asyncio
from collections.abc import Awaitable, Coroutine
from typing import Any

from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    KafkaError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
)

from headrace.ingress.refusal import Refusal
from headrace.schemas.errors import Code
from headrace.telemetry.tasks import is_cancelled

RETRY_AFTER_S = 2.0
START_S = 1.0
"""How long a client that nobody wants any more may take to start."""

AWAY = Refusal(Code.KAFKA_UNAVAILABLE, "Kafka does not answer.", retry_after_s=RETRY_AFTER_S)
MISSING = Refusal(Code.KAFKA_TOPIC_MISSING, "A topic is missing.", retry_after_s=RETRY_AFTER_S)
DENIED = Refusal(
    Code.KAFKA_ACL_DENIED, "Kafka denies a right that is needed.", retry_after_s=RETRY_AFTER_S
)
STARTING = Refusal(Code.NOT_READY, "Not connected to Kafka yet.", retry_after_s=RETRY_AFTER_S)


async def started(starting: Coroutine[Any, Any, None]) -> None:
    """Await the start of a client. Whoever is cancelled meanwhile waits for its first answer, a while:
    aiokafka would leave the connection open over which it asked.
    """
    task = asyncio.ensure_future(starting)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task], timeout=START_S)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        raise


async def closed(closing: Awaitable[None]) -> None:
    """Await the end of a client. Whatever it cannot say good-bye to is gone already; and aiokafka
    lets the cancellation of its own tasks leak out, which must not end ours.
    """
    try:
        await closing
    except asyncio.CancelledError:
        if is_cancelled():
            raise
    except (KafkaError, OSError):
        return


async def acknowledged(writing: Awaitable[object]) -> Refusal | None:
    """Await a write that is acknowledged; why it was not, if so. It may have been written all the same."""
    try:
        await writing
    except KafkaError as error:
        return trouble_of(error)
    return None


def trouble_of(error: BaseException) -> Refusal:
    """What a client's error means: the one place where they are told apart."""
    if isinstance(
        error,
        TopicAuthorizationFailedError
        | ClusterAuthorizationFailedError
        | GroupAuthorizationFailedError,
    ):
        return DENIED
    if isinstance(error, UnknownTopicOrPartitionError):
        return MISSING
    return AWAY
