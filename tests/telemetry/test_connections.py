"""A connection that was cut, as the clients of a role see it."""

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.conn import AIOKafkaConnection
from aiokafka.errors import KafkaConnectionError
from aiokafka.protocol.metadata import MetadataRequest

from headrace.cli.localkafka import LocalKafka
from headrace.telemetry.connections import tell_of_cut_connections


async def test_who_writes_to_a_connection_that_was_cut_hears_of_it(
    kafka: LocalKafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    """uvloop raises an error of its own, which ended the client's task that reads metadata."""
    monkeypatch.setattr(AIOKafkaConnection, "send", AIOKafkaConnection.send)
    tell_of_cut_connections()
    tell_of_cut_connections()  # a process may begin several roles, one after the other
    async with AIOKafkaProducer(bootstrap_servers=kafka.bootstrap) as producer:
        client = producer.client
        for connection in list(client._conns.values()):
            connection._writer.transport.abort()
            with pytest.raises(KafkaConnectionError):
                connection.send(MetadataRequest([]))
        assert await client.force_metadata_update()
