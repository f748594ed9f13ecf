"""What dispatchers have committed."""

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from support.installation import Installation


async def committed(running: Installation, partition: int = 0) -> int:
    """The position of a partition of the lane `standard`."""
    topics = running.topics
    tp = TopicPartition(topics.requests("standard"), partition)
    admin = AIOKafkaAdminClient(bootstrap_servers=running.bootstrap)
    await admin.start()
    try:
        group = topics.dispatch_group("standard")
        found = await admin.list_consumer_group_offsets(group, partitions=[tp])
    finally:
        await admin.close()
    return int(found[tp].offset)


async def all_committed(running: Installation) -> bool:
    """Whether every record of the lane `standard` lies below a committed position."""
    records = await running.dump(running.topics.requests("standard"))
    newest = {record.partition: record.offset for record in records}
    return all([await committed(running, one) > offset for one, offset in newest.items()])
