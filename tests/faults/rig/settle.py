"""Whether dispatchers are through with everything: each group has committed all that its topics hold."""

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from faults.history.dump import places_of
from headrace.schemas.topics import Topics


async def behind(bootstrap: str, topics: Topics, lanes: tuple[str, ...]) -> int:
    """Records of lanes and delay topics above what is committed."""
    sources = tuple(f"{topics.prefix}{kind}." for kind in ("requests", "delay"))
    places = await places_of(bootstrap, lambda name: name.startswith(sources))
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap)
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await consumer.start()
    await admin.start()
    try:
        ends = await consumer.end_offsets(places)
        begins = await consumer.beginning_offsets(places)
        done: dict[TopicPartition, int] = {}
        for group in [*(topics.dispatch_group(lane) for lane in lanes), topics.delay_group]:
            offsets = await admin.list_consumer_group_offsets(group)
            done.update((place, told.offset) for place, told in offsets.items())
    finally:
        await consumer.stop()
        await admin.close()
    return sum(ends[one] - max(begins[one], done.get(one, 0)) for one in places)
