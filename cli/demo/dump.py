"""A dump of topics by a plain consumer: no group, no filter, from the first record to the last."""

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.structs import ConsumerRecord

from headrace.cli.demo.evidence import Dump, Record
from headrace.schemas.config.model import Config
from headrace.schemas.topics import Topics, topic_specs

POLL_MS = 200


async def dump_topics(bootstrap: str, config: Config) -> Dump:
    """Lanes, replies and dead letters up to their present ends. Raises `KafkaError`."""
    names = Topics(config.kafka.topic_prefix)
    lanes = [names.requests(lane) for lane in config.lanes]
    partitions = {spec.name: spec.partitions for spec in topic_specs(config)}
    wanted = [*lanes, names.replies, names.dead_letters]
    places = [TopicPartition(topic, n) for topic in wanted for n in range(partitions[topic])]
    records = await _read(bootstrap, places)
    return Dump(
        requests=tuple(record for lane in lanes for record in records[lane]),
        replies=tuple(records[names.replies]),
        dead_letters=tuple(records[names.dead_letters]),
    )


async def _read(bootstrap: str, places: list[TopicPartition]) -> dict[str, list[Record]]:
    found: dict[str, list[Record]] = {place.topic: [] for place in places}
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap, enable_auto_commit=False, auto_offset_reset="earliest"
    )
    consumer.assign(places)
    await consumer.start()
    try:
        ends = await consumer.end_offsets(places)
        left = {place for place in places if ends[place] > 0}
        while left:
            for place, batch in (await consumer.getmany(*left, timeout_ms=POLL_MS)).items():
                found[place.topic] += [_record(each) for each in batch]
            left = {place for place in left if await consumer.position(place) < ends[place]}
    finally:
        await consumer.stop()
    return found


def _record(record: "ConsumerRecord[bytes, bytes]") -> Record:
    return Record(
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        timestamp=record.timestamp,
        key=record.key,
        value=record.value,
        headers=tuple((name, value) for name, value in record.headers),
    )
