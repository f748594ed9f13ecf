"""The upstream side of the bare loop: `getmany` -> a task a record -> POST -> produce."""

import asyncio
import sys

import aiohttp
import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord

from benchmarks.bare.wire import BareTopics, bare_producer, bare_topics, reply_headers

JSON = {"content-type": "application/json"}


class BareDispatcher:
    """Calls the upstream for every record, all at once."""

    def __init__(
        self,
        producer: AIOKafkaProducer,
        session: aiohttp.ClientSession,
        url: str,
        topics: BareTopics,
    ) -> None:
        self._producer = producer
        self._session = session
        self._url = url
        self._topics = topics
        self._calls: set[asyncio.Task[None]] = set()

    async def follow(self, consumer: AIOKafkaConsumer) -> None:
        """Read for ever."""
        while True:
            for records in (await consumer.getmany(timeout_ms=1000)).values():
                for record in records:
                    call = asyncio.create_task(self._call(record))
                    self._calls.add(call)
                    call.add_done_callback(self._calls.discard)

    async def _call(self, record: "ConsumerRecord[bytes, bytes]") -> None:
        async with self._session.post(self._url, data=record.value, headers=JSON) as response:
            body = await response.read()
        headers = reply_headers(dict(record.headers)["ce_id"], response.status)
        await self._producer.send(self._topics.replies, body, partition=0, headers=headers)


async def serve(bootstrap: str, topics: BareTopics, url: str) -> None:
    """Run until the process is ended."""
    consumer = AIOKafkaConsumer(
        topics.requests,
        bootstrap_servers=bootstrap,
        group_id=f"{topics.requests}.dispatch",
        auto_offset_reset="earliest",
        fetch_max_wait_ms=100,
    )
    async with (
        bare_producer(bootstrap) as producer,
        consumer,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session,
    ):
        await BareDispatcher(producer, session, url, topics).follow(consumer)


def main() -> None:
    """Arguments: bootstrap, topic prefix, URL of the upstream."""
    bootstrap, prefix, url = sys.argv[1:]
    uvloop.run(serve(bootstrap, bare_topics(prefix), url))


if __name__ == "__main__":
    main()
