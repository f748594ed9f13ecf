"""With one broker of several away, what may be used is still told by the others."""

import pytest
from aiokafka.structs import BrokerMetadata

from headrace.cli.localkafka import LocalKafka, free_ports
from headrace.ingress.kafka.producer import Producer

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_broker_that_is_away_does_not_hide_what_others_tell(kafka: LocalKafka) -> None:
    """Once one restart of three made every request wait for a new producer, or fail."""
    producer = Producer({"bootstrap_servers": kafka.bootstrap}, name="one-away")
    await producer.start()
    try:
        (closed,) = free_ports(1)
        known = producer.client.cluster._brokers
        for number in range(90, 96):
            known[number] = BrokerMetadata(number, "127.0.0.1", closed, None)
        told = await producer.rights_on(["no-such-topic"])
    finally:
        await producer.abandon()
    assert [entry[1] for entry in told.get_item("topics")] == ["no-such-topic"]
