"""Consumers whose background tasks end by themselves: what aiokafka does not mend is mended."""

import asyncio
import uuid
from typing import cast

from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import GroupAuthorizationFailedError, KafkaError

from headrace.cli.localkafka import LocalKafka
from headrace.dispatcher.kafka.closing import end_consumer, has_died, rejoin_where_stuck
from headrace.telemetry.logs import Log
from support.eventually import eventually


class Warnings:
    """A log that keeps the codes it was told."""

    def __init__(self) -> None:
        self.codes: list[str] = []

    def warning(self, _event: str, *, code: str, **_: object) -> None:
        self.codes.append(code)


async def refused() -> None:
    """What a heartbeat meets while the right to read the group is taken away."""
    raise GroupAuthorizationFailedError


async def test_a_member_whose_heartbeats_have_ended_joins_again(kafka: LocalKafka) -> None:
    """It kept its partitions, was thrown out, and never read again."""
    topic, warnings = f"t{uuid.uuid4().hex}", Warnings()
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    await admin.start()
    await admin.create_topics([NewTopic(topic, 1, 1)])
    await admin.close()
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=kafka.bootstrap, group_id=topic)
    await consumer.start()
    try:
        coordinator = consumer._coordinator
        generation = coordinator.generation
        coordinator._heartbeat_task.cancel()
        coordinator._heartbeat_task = asyncio.create_task(refused())

        async def is_back() -> bool:
            rejoin_where_stuck(consumer, cast("Log", warnings))
            try:
                await consumer.getmany(timeout_ms=10)
            except KafkaError:
                return False
            beating = coordinator._heartbeat_task
            return coordinator.generation > generation and beating and not beating.done()

        await eventually(is_back)
        assert not has_died(consumer)
        assert warnings.codes == ["GroupAuthorizationFailedError"]
    finally:
        await end_consumer(consumer)
