"""An index that follows a real Kafka, and writers to what it follows, without the rest of an ingress."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from headrace.ingress.index import Appender, ClaimWriter, Follower, Index, StatusWriter
from headrace.ingress.kafka.producer import Producer
from headrace.schemas.config.clients import client_options
from headrace.schemas.config.model import Config
from headrace.schemas.topics import RESULTS_MS, Topics
from headrace.telemetry.logs import get_log
from support.eventually import eventually


class Writers:
    """Everything that appends, through one producer."""

    def __init__(self, producer: Producer, topics: Topics) -> None:
        appender = Appender(grace_s=10)
        appender.connect(producer)
        self.producer = producer
        self.topics = topics
        self.states = StatusWriter(appender, topics)
        self.claims = ClaimWriter(appender, topics)


@asynccontextmanager
async def writers(config: Config) -> AsyncIterator[Writers]:
    """Connected."""
    producer = Producer(client_options(config.kafka), name="test-writers")
    await producer.start()
    try:
        yield Writers(producer, Topics(config.kafka.topic_prefix))
    finally:
        await producer.abandon()


@asynccontextmanager
async def following(config: Config, folder: Path, *, ready: bool = True) -> AsyncIterator[Index]:
    """An index on the first free slot of `folder`."""
    topics = Topics(config.kafka.topic_prefix)
    index = Index(folder, topics, RESULTS_MS, lambda: round(time.time() * 1000))
    follower = Follower(config.kafka, index, "test-index", get_log())
    task = asyncio.create_task(follower.run())
    try:
        if ready:
            await eventually(lambda: index.ready or task.done())
        yield index
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        await follower.close()
