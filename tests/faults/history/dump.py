"""Reads what a run has left in Kafka: its topics, and every commit of its groups. A plain consumer."""

import time
from collections.abc import Callable
from pathlib import Path

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.structs import ConsumerRecord

from faults.history.commits import read_commit
from faults.history.records import Commit, Record

TOPICS = "topics.jsonl"
COMMITS = "commits.jsonl"
OFFSETS_TOPIC = "__consumer_offsets"
POLL_MS = 200
STALLED_S = 30.0
UNWANTED = ("fleet", "events")
"""Beats and accounts prove nothing about a promise that is checked here."""

Take = Callable[["ConsumerRecord[bytes, bytes]"], None]


class DumpStalled(Exception):
    """Kafka told of records that it does not give."""


async def dump(folder: Path, bootstrap: str, prefix: str) -> None:
    """Write `topics.jsonl` and `commits.jsonl` of the topics under `prefix`.

    For a run whose roles have stopped. Raises `KafkaError`, `DumpStalled` or OSError.
    """
    encode = msgspec.json.Encoder().encode
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap, enable_auto_commit=False, auto_offset_reset="earliest"
    )
    await consumer.start()
    try:
        places = await places_of(bootstrap, lambda name: name.startswith(prefix))
        wanted = [place for place in places if place.topic.removeprefix(prefix) not in UNWANTED]
        offsets = await places_of(bootstrap, lambda name: name == OFFSETS_TOPIC)
        with (folder / TOPICS).open("wb") as topics:
            await _read(consumer, wanted, lambda one: topics.write(encode(_record(one)) + b"\n"))
        with (folder / COMMITS).open("wb") as commits:

            def take(one: "ConsumerRecord[bytes, bytes]") -> None:
                commit = _commit(one, prefix)
                if commit is not None:
                    commits.write(encode(commit) + b"\n")

            await _read(consumer, offsets, take)
    finally:
        await consumer.stop()


async def places_of(bootstrap: str, wanted: Callable[[str], bool]) -> list[TopicPartition]:
    """Every partition of the topics that are `wanted`, Kafka's internal ones too."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        names = sorted(filter(wanted, await admin.list_topics()))
        described = await admin.describe_topics(names)
    finally:
        await admin.close()
    return [
        TopicPartition(topic["topic"], partition["partition"])
        for topic in described
        for partition in topic["partitions"]
    ]


async def _read(
    consumer: AIOKafkaConsumer, places: list[TopicPartition], take: Callable[..., object]
) -> None:
    """Give every record of `places` up to their present ends to `take`, in order of each partition."""
    consumer.assign(places)
    ends = await consumer.end_offsets(places)
    begins = await consumer.beginning_offsets(places)
    left = {place for place in places if ends[place] > begins[place]}
    moved_at = time.monotonic()
    while left:
        batches = await consumer.getmany(*left, timeout_ms=POLL_MS)
        for batch in batches.values():
            for record in batch:
                take(record)
        before = len(left)
        left = {place for place in left if await consumer.position(place) < ends[place]}
        if batches or len(left) < before:
            moved_at = time.monotonic()
        elif time.monotonic() - moved_at > STALLED_S:
            raise DumpStalled(", ".join(map(str, left)))


def _record(record: "ConsumerRecord[bytes, bytes]") -> Record:
    return Record(
        record.topic,
        record.partition,
        record.offset,
        record.timestamp,
        record.key,
        record.value,
        tuple(record.headers),
    )


def _commit(record: "ConsumerRecord[bytes, bytes]", prefix: str) -> Commit | None:
    told = read_commit(record.key, record.value)
    if told is None or not told.topic.startswith(prefix):
        return None
    return Commit(
        told.group, told.topic, told.partition, told.position, record.timestamp, record.offset
    )
