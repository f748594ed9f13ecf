"""The JVM's ahead-of-time cache (JEP 514, JDK 25): Kafka starts in 1.2 s instead of 2.7 s.

It is made once per Java and set of jars, by a training run that starts a node, creates a
topic, writes, reads in a group, and stops. A run without it only starts slower, so a
training that fails is told and not fatal.
"""

import asyncio
import contextlib
import logging
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError

from headrace.cli.localkafka.cache import cache_dir, only_one
from headrace.cli.localkafka.distribution import Distribution
from headrace.cli.localkafka.errors import LocalKafkaError
from headrace.cli.localkafka.node import Node
from headrace.cli.progress import Reporter

TRAINING_LIMIT_S = 180.0
KEPT = 16


def with_ahead_cache(distribution: Distribution, reporter: Reporter) -> Distribution:
    """The distribution with its cache, which is made now if it is missing.

    Blocks up to about 15 s the first time, and runs an event loop of its own: call it in a
    thread. Only one process makes the cache, the others wait for it.
    """
    cache = cache_dir() / f"kafka-{distribution.fingerprint()}.aot"
    if not cache.exists():
        with only_one(cache_dir()):
            if not cache.exists() and not _make(distribution, cache, reporter):
                return distribution
    return distribution.with_options(f"-XX:AOTCache={cache}")


def _make(distribution: Distribution, cache: Path, reporter: Reporter) -> bool:
    reporter.say("Preparing Kafka for fast starts (once, about 10 s)")
    with tempfile.TemporaryDirectory(prefix="headrace-") as folder:
        made = Path(folder) / "made.aot"
        training = distribution.with_options(f"-XX:AOTCacheOutput={made}")
        try:
            with _quiet():
                asyncio.run(_train(distribution, training, Path(folder)))
            # Next to its place first: the temporary folder may be another file system.
            beside = cache.with_suffix(f".{os.getpid()}")
            beside.write_bytes(made.read_bytes())
            beside.replace(cache)
            _drop_old(cache.parent)
        except (LocalKafkaError, KafkaError, OSError, TimeoutError) as error:
            reporter.say(f"That failed, Kafka will start slower: {error!r}")
            return False
    return True


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """A new node has no group coordinator at first; aiokafka logs an error each time it asks."""
    logger = logging.getLogger("aiokafka")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)


def _drop_old(folder: Path) -> None:
    """Each environment's Java has a cache of 70 MB of its own: only the newest stay."""
    caches = sorted(folder.glob("kafka-*.aot"), key=lambda path: path.stat().st_mtime)
    for old in caches[:-KEPT]:
        old.unlink(missing_ok=True)


async def _train(distribution: Distribution, training: Distribution, folder: Path) -> None:
    """Format without recording (a cache holds one run only), then record a short life."""
    async with asyncio.timeout(TRAINING_LIMIT_S):
        async with Node(distribution, folder):
            pass
        async with Node(training, folder, stop_limit_s=TRAINING_LIMIT_S) as node:
            await _use(f"127.0.0.1:{node.ports.client}")


async def _use(bootstrap: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic("training", num_partitions=1, replication_factor=1)])
    finally:
        await admin.close()
    async with AIOKafkaProducer(bootstrap_servers=bootstrap, enable_idempotence=True) as producer:
        for _ in range(20):
            await producer.send_and_wait("training", b"record", key=b"key")
    consumer = AIOKafkaConsumer(
        "training", bootstrap_servers=bootstrap, group_id="training", auto_offset_reset="earliest"
    )
    async with consumer:
        await consumer.getone()
        await consumer.commit()
