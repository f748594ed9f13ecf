"""A real Apache Kafka on this machine, with nothing but Python installed.

    async with LocalKafka(data_dir=Path("data")) as kafka:
        ...  # kafka.bootstrap

How it works: `jars` fetches Kafka's jars once (kafka.lock has their SHA-256), `distribution`
finds Java and builds command lines, `ahead` makes the JVM's ahead-of-time cache, `node` runs
the JVM on its data folder, `health` asks it for metadata.
"""

from headrace.cli.localkafka.errors import (
    DownloadFailed,
    FolderInUse,
    JavaMissing,
    LocalKafkaError,
    StartFailed,
)
from headrace.cli.localkafka.kafka import LocalKafka
from headrace.cli.localkafka.ports import free_ports, is_free

__all__ = [
    "DownloadFailed",
    "FolderInUse",
    "JavaMissing",
    "LocalKafka",
    "LocalKafkaError",
    "StartFailed",
    "free_ports",
    "is_free",
]
