"""The HTTP side of the bare loop: a raw ASGI app, a dict of futures, one partition of replies."""

import asyncio
import sys
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import uvicorn
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from benchmarks.bare.wire import BareTopics, bare_producer, bare_topics, request_headers

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Reply = tuple[int, bytes]


class ChatRequest(msgspec.Struct):
    """The fields that routing needs; the messages stay as they came."""

    model: str
    messages: msgspec.Raw
    stream: bool = False


class BareIngress:
    """The ASGI application."""

    def __init__(self, bootstrap: str, topics: BareTopics) -> None:
        self._bootstrap = bootstrap
        self._topics = topics
        self._waiters: dict[str, asyncio.Future[Reply]] = {}
        self._decoder = msgspec.json.Decoder(ChatRequest)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or run the life of the process."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        else:
            status, body = await self._ask(await read_body(receive))
            await answer(send, status, body)

    async def _ask(self, body: bytes) -> Reply:
        asked = self._decoder.decode(body)
        request_id = uuid.uuid4().hex
        waiter: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._waiters[request_id] = waiter
        headers = request_headers(request_id, asked.model)
        await self._producer.send(self._topics.requests, body, headers=headers)
        return await waiter

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        self._producer: AIOKafkaProducer = bare_producer(self._bootstrap)
        await self._producer.start()
        replies = TopicPartition(self._topics.replies, 0)
        consumer = AIOKafkaConsumer(bootstrap_servers=self._bootstrap, fetch_max_wait_ms=100)
        await consumer.start()
        consumer.assign([replies])
        await consumer.seek_to_end(replies)
        reading = asyncio.create_task(self._read(consumer))
        await send({"type": "lifespan.startup.complete"})
        await receive()
        reading.cancel()
        await consumer.stop()
        await self._producer.stop()
        await send({"type": "lifespan.shutdown.complete"})

    async def _read(self, consumer: AIOKafkaConsumer) -> None:
        while True:
            for records in (await consumer.getmany(timeout_ms=1000)).values():
                for record in records:
                    headers = dict(record.headers)
                    waiter = self._waiters.pop(headers["ce_id"].decode(), None)
                    if waiter is not None and not waiter.done():
                        waiter.set_result((int(headers["headrace-status"]), record.value or b""))


async def read_body(receive: Receive) -> bytes:
    """The whole body of a request."""
    message = await receive()
    body: bytes = message.get("body", b"")
    while message.get("more_body"):
        message = await receive()
        body += message.get("body", b"")
    return body


async def answer(send: Send, status: int, body: bytes) -> None:
    """One whole answer."""
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def main() -> None:
    """Arguments: bootstrap, topic prefix, port."""
    bootstrap, prefix, port = sys.argv[1:]
    uvicorn.run(
        BareIngress(bootstrap, bare_topics(prefix)),
        host="127.0.0.1",
        port=int(port),
        loop="uvloop",
        http="httptools",
        lifespan="on",
        log_level="warning",
        access_log=False,
        proxy_headers=False,
        timeout_keep_alive=60,
    )


if __name__ == "__main__":
    main()
