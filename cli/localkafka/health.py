"""A broker is up when it names itself in a metadata answer, not when its port is open."""

import asyncio

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError

PAUSE_S = 0.02


async def answers_metadata(port: int) -> None:
    """Return at the first metadata answer with a broker in it; never gives up by itself."""
    while True:
        await _accepts(port)
        client = AIOKafkaClient(bootstrap_servers=f"127.0.0.1:{port}")
        try:
            await client.bootstrap()
            if client.cluster.brokers():
                return
        except KafkaError:
            await asyncio.sleep(PAUSE_S)
        finally:
            await client.close()


async def _accepts(port: int) -> None:
    """Wait for the port first: a refused bootstrap makes aiokafka log errors."""
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(PAUSE_S)
            continue
        writer.close()
        await writer.wait_closed()
        return
