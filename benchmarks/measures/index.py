"""B14: how long the index takes to read the log, and how long a question takes meanwhile."""

import asyncio
import random
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from aiokafka import AIOKafkaProducer

from headrace.ingress.index import Follower, Index
from headrace.schemas import status
from headrace.schemas.config.model import Config
from headrace.schemas.names import (
    DeploymentName,
    Endpoint,
    InstanceId,
    Kind,
    LaneName,
    ModelName,
    Outcome,
    RequestId,
    Tenant,
)
from headrace.schemas.status import Queued, Running, Status, Terminal, indexed_partition, status_key
from headrace.schemas.topics import INDEXED_PARTITIONS, Topics, status_kept_ms
from headrace.telemetry.garbage import calm
from headrace.telemetry.logs import get_log

TENANTS = [Tenant(f"tenant-{number}") for number in range(20)]
BEHIND = 20_000
"""So many requests are queued before the first of them runs."""
BATCH_BYTES = 500_000
ASK_EVERY_S = 0.02
LAG_EVERY_S = 0.005


def row_of(number: int) -> tuple[Tenant, RequestId]:
    """Tenant and id of a request: ids grow with time, as a UUIDv7 does."""
    seed = random.Random(number)
    name = uuid.UUID(int=(1_767_225_600_000 + number // 20 << 80) | 7 << 76 | seed.getrandbits(74))
    return TENANTS[number % len(TENANTS)], RequestId(str(name))


def history_of(rows: int, start: int = 0) -> Iterator[tuple[bytes, bytes]]:
    """Key and value of the three records of each request, in the order in which they are written."""
    for number in range(start, start + rows + BEHIND):
        if number < start + rows:
            yield _record(_queued(*row_of(number)))
        ended = number - BEHIND
        if ended >= start:
            yield _record(_running(*row_of(ended)))
            yield _record(_terminal(*row_of(ended)))


def _record(state: Status) -> tuple[bytes, bytes]:
    return status_key(state.tenant, state.id), status.encode(state)


def _queued(tenant: Tenant, request_id: RequestId) -> Queued:
    return Queued(
        tenant=tenant,
        id=request_id,
        kind=Kind.JOB,
        model=ModelName("gpt-4o-mini-2024-07-18"),
        lane=LaneName("batch"),
        endpoint=Endpoint.CHAT,
        stream=False,
        accepted_ms=1_767_225_600_000,
        deadline_ms=1_767_312_000_000,
        reply_partition=17,
        instance=InstanceId("headrace-ingress-7d9c6b5f4-x2x9k-1-0a1b2c3d"),
    )


def _running(tenant: Tenant, request_id: RequestId) -> Running:
    return Running(
        tenant=tenant,
        id=request_id,
        attempt=1,
        deployment=DeploymentName("openai-east"),
        source="headrace/dispatcher/headrace-dispatcher-7d9c6b5f4-x2x9k-1-0a1b2c3d",
    )


def _terminal(tenant: Tenant, request_id: RequestId) -> Terminal:
    return Terminal(
        tenant=tenant,
        id=request_id,
        outcome=Outcome.COMPLETED,
        status=200,
        attempt=1,
        attempts=1,
        queue_ms=1234,
        upstream="openai-east",
        result=(17, 123_456_789, 1),
    )


async def fill(bootstrap: str, topic: str, rows: int, start: int = 0) -> int:
    """Write the history of `rows` requests; how many records that were."""
    async with AIOKafkaProducer(
        bootstrap_servers=bootstrap, max_batch_size=BATCH_BYTES, compression_type="lz4"
    ) as producer:
        open_ = [producer.create_batch() for _ in range(INDEXED_PARTITIONS)]
        acks: list[asyncio.Future[object]] = []
        count = 0
        for key, value in history_of(rows, start):
            partition = indexed_partition(key)
            if open_[partition].append(key=key, value=value, timestamp=None) is None:
                acks.append(await producer.send_batch(open_[partition], topic, partition=partition))
                open_[partition] = producer.create_batch()
                open_[partition].append(key=key, value=value, timestamp=None)
            count += 1
        for partition, batch in enumerate(open_):
            acks.append(await producer.send_batch(batch, topic, partition=partition))
        await asyncio.gather(*acks)
    return count


@dataclass
class Run:
    """One life of an index."""

    ready_s: float = 0.0
    answers_ms: list[float] = field(default_factory=list)
    """From the moment a question was due to its answer, the event loop's delay included."""
    lags_ms: list[float] = field(default_factory=list)
    """How late the event loop was for a timer."""
    found: int = 0
    peak_rss: int = 0


async def live(config: Config, folder: Path, rows: int, *, after_s: float = 0.0) -> Run:
    """Start an index, wait until it is ready, and `after_s` longer, asking all the time."""
    run = Run()
    calm()
    began = time.perf_counter()
    async with _running_index(config, folder) as index:
        asking = asyncio.create_task(_ask(index, rows, run))
        lagging = asyncio.create_task(_measure_lag(run))
        while not index.ready:  # noqa: ASYNC110 - a benchmark looks from outside
            await asyncio.sleep(LAG_EVERY_S)
        run.ready_s = time.perf_counter() - began
        await asyncio.sleep(after_s)
        for task in (asking, lagging):
            task.cancel()
    return run


@asynccontextmanager
async def _running_index(config: Config, folder: Path) -> AsyncIterator[Index]:
    topics = Topics(config.kafka.topic_prefix)
    index = Index(folder, topics, status_kept_ms(config), lambda: round(time.time() * 1000))
    follower = Follower(config.kafka, index, "bench-index", get_log())
    task = asyncio.create_task(follower.run())
    try:
        yield index
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await follower.close()


async def _ask(index: Index, rows: int, run: Run) -> None:
    process, dice = psutil.Process(), random.Random(1)
    while True:
        due = time.perf_counter() + ASK_EVERY_S
        await asyncio.sleep(ASK_EVERY_S)
        row = index.get(*row_of(dice.randrange(rows)))
        run.answers_ms.append((time.perf_counter() - due) * 1000)
        run.found += row is not None
        run.peak_rss = max(run.peak_rss, process.memory_info().rss)


async def _measure_lag(run: Run) -> None:
    while True:
        due = time.perf_counter() + LAG_EVERY_S
        await asyncio.sleep(LAG_EVERY_S)
        run.lags_ms.append((time.perf_counter() - due) * 1000)
