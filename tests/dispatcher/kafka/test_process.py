"""A dispatcher process in this one, where something goes wrong beneath it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.consumer import group_coordinator
from aiokafka.errors import KafkaError
from aiokafka.record.util import calc_crc32c

from headrace.cli.localkafka import LocalKafka
from headrace.dispatcher.app import App
from headrace.dispatcher.kafka.source import Source
from headrace.schemas.config.model import Config
from headrace.schemas.names import LaneName
from headrace.schemas.topics import Topics, topic_specs
from headrace.telemetry.logs import get_log
from support.eventually import eventually


def dispatcher_config(bootstrap: str, prefix: str, **partitions: int) -> Config:
    """One lane with few partitions and a deployment that nobody calls."""
    upstream = {"base_url": "http://127.0.0.1:1/v1"}
    counts = ("requests", "delay", "replies", "control", "dead_letters", "events")
    return Config.model_validate(
        {
            "kafka": {
                "bootstrap_servers": [bootstrap],
                "topic_prefix": prefix,
                "replication_factor": 1,
                "min_insync_replicas": 1,
                "partitions": dict.fromkeys(counts, 1) | partitions,
            },
            "dispatcher": {"metrics_listen": "127.0.0.1:0", "drain_s": 1},
            "lanes": {"standard": {"deadline_s": 60}},
            "deployments": [{"name": "east", "model": "small", "upstream": upstream}],
        }
    )


async def create_topics(config: Config) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=list(config.kafka.bootstrap_servers))
    await admin.start()
    try:
        await admin.create_topics(
            [
                NewTopic(spec.name, spec.partitions, spec.replication, topic_configs=spec.config)
                for spec in topic_specs(config)
            ]
        )
    finally:
        await admin.close()


@asynccontextmanager
async def dispatching(config: Config) -> AsyncIterator[tuple[App, asyncio.Task[None]]]:
    """A dispatcher that is ready, and its task."""
    app = App(config, get_log())
    running = asyncio.create_task(app.run())
    try:
        await eventually(lambda: running.done() or not app._problems())
        assert not running.done()
        yield app, running
    finally:
        app._stop()
        await asyncio.wait((running,))


async def test_a_beat_that_cannot_be_read_ends_no_process(
    kafka: LocalKafka, topic_prefix: str
) -> None:
    """It ended every dispatcher, and none could start again while the topic held it."""
    config = dispatcher_config(kafka.bootstrap, topic_prefix)
    await create_topics(config)
    producer = AIOKafkaProducer(bootstrap_servers=kafka.bootstrap)
    await producer.start()
    await producer.send_and_wait(Topics(topic_prefix).fleet, b"no beat")
    await producer.stop()
    async with dispatching(config) as (_, running):
        assert not running.done()


async def test_an_error_while_the_group_is_joined_is_got_over(
    kafka: LocalKafka, topic_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """aiokafka waits until the error was picked up; nobody did, and the lane stood still for ever."""
    config = dispatcher_config(kafka.bootstrap, topic_prefix)
    await create_topics(config)
    sync = group_coordinator.CoordinatorGroupRebalance._send_sync_group_request
    failures: list[str] = []

    async def fail_once(
        rebalance: group_coordinator.CoordinatorGroupRebalance, request: object
    ) -> object:
        if rebalance.group_id == lane.group and not failures:
            failures.append(lane.group)
            raise KafkaError("COORDINATOR_LOAD_IN_PROGRESS")
        return await sync(rebalance, request)

    async with dispatching(config) as (app, _):
        lane: Source = app._kafka._joined[0]
        await eventually(lambda: lane.tenures)
        monkeypatch.setattr(
            group_coordinator.CoordinatorGroupRebalance, "_send_sync_group_request", fail_once
        )
        assert lane._consumer._coordinator is not None
        lane._consumer._coordinator.request_rejoin()
        await eventually(lambda: failures)
        await eventually(lambda: lane.tenures)


async def test_a_part_that_is_cancelled_from_beneath_ends_the_process(
    kafka: LocalKafka, topic_prefix: str
) -> None:
    """aiokafka leaks cancellations: the process went on without its journal, say, and looked well."""
    config = dispatcher_config(kafka.bootstrap, topic_prefix)
    await create_topics(config)
    async with dispatching(config) as (app, running):
        app._tasks[0].cancel()
        await asyncio.wait((running,), timeout=60)
        assert isinstance(running.exception(), RuntimeError)


async def produce_header_that_is_no_utf8(bootstrap: str, topic: str) -> None:
    """As librdkafka does when it is asked to; aiokafka itself writes text only."""
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap)
    await producer.start()
    try:
        batch = producer.create_batch()
        batch.append(key=b"k", value=b"{}", timestamp=None, headers=[("name?", b"1")])
        batch.close()
        raw = bytearray(batch._builder.build())
        raw[raw.index(b"name?") + 4] = 0xFF
        raw[17:21] = calc_crc32c(bytes(raw[21:])).to_bytes(4, "big")
        batch._buffer = bytes(raw)
        await (await producer.send_batch(batch, topic, partition=0))
    finally:
        await producer.stop()


async def test_a_header_that_cannot_be_read_stops_its_partition_only(
    kafka: LocalKafka, topic_prefix: str
) -> None:
    """It ended the process, and each that took the partition over."""
    config = dispatcher_config(kafka.bootstrap, topic_prefix, requests=2)
    await create_topics(config)
    topic = Topics(topic_prefix).requests(LaneName("standard"))
    async with dispatching(config) as (app, running):
        lane: Source = app._kafka._joined[0]
        await eventually(lambda: len(lane.tenures) == 2)
        await produce_header_that_is_no_utf8(kafka.bootstrap, topic)
        bad, good = TopicPartition(topic, 0), TopicPartition(topic, 1)
        await eventually(lambda: lane._unreadable == {bad})
        producer = AIOKafkaProducer(bootstrap_servers=kafka.bootstrap)
        await producer.start()
        await producer.send_and_wait(topic, b"no request", key=b"k", partition=1)
        await producer.stop()
        await eventually(lambda: lane.tenures[good].tracker.watermark == 1)
        assert lane.tenures[bad].tracker.watermark == 0
        assert not running.done()
