"""Answers on their way out: finals that must arrive, chunks that must be quick, events beside them.

Chunks of all streams leave through one queue and one producer, in order; a stream's final is sent when
its chunks are acknowledged, so that a reader of the topic finds them in order too. The queue is
bounded: a stream that cannot be written is ended, not buffered.
"""

import asyncio
from asyncio import Future
from collections import deque
from collections.abc import Callable

from aiokafka.errors import KafkaError
from aiokafka.structs import RecordMetadata

from headrace.dispatcher.kafka.outbox import Outbox
from headrace.schemas.records import ReplyTo
from headrace.schemas.replies import PART_BYTES, Reply, encode
from headrace.schemas.topics import key_partition
from headrace.telemetry.logs import Log

BACKLOG_BYTES = 64 * 1024 * 1024
"""Chunks that wait for Kafka, all streams of a process together."""


class ReplyStream:
    """The chunks of one attempt of one request."""

    def __init__(
        self, replies: "Replies", address: ReplyTo, base: Reply, overflow: Callable[[], None]
    ) -> None:
        self._replies = replies
        self._address = address
        self._base = base
        self._overflow = overflow
        self._drained: Future[None] | None = None
        self.chunks = 0
        self.posted = 0
        self.last_ack: Future[RecordMetadata] | None = None

    def forward(self, chunk: bytes) -> None:
        """Queue one chunk; ends the call when Kafka takes no more."""
        self.chunks += 1
        base = self._base
        reply = Reply(
            id=base.id, body=chunk, seq=self.chunks, attempt=base.attempt, instance=base.instance
        )
        if not self._replies.queue(self, self._address, reply):
            self._overflow()

    def was_posted(self, ack: "Future[RecordMetadata] | None") -> None:
        """One more chunk was handed to the producer."""
        self.posted += 1
        self.last_ack = ack or self.last_ack
        if self._drained is not None and self.posted == self.chunks and not self._drained.done():
            self._drained.set_result(None)

    async def drain(self) -> None:
        """Wait until every chunk is acknowledged; a lost one is a gap that the reader will see."""
        if self.posted != self.chunks:
            self._drained = asyncio.get_running_loop().create_future()
            await self._drained
        if self.last_ack is not None:
            await asyncio.wait([self.last_ack])


class Replies:
    """All answers of one process."""

    def __init__(
        self, *, source: bytes, finals: Outbox, chunks: Outbox, bulk: Outbox, log: Log
    ) -> None:
        self._source = source
        self._finals = finals
        self._chunks = chunks
        self._bulk = bulk
        self._log = log
        self._queue: deque[tuple[ReplyStream, ReplyTo, Reply]] = deque()
        self._queued_bytes = 0
        self._wake = asyncio.Event()

    def open(self, address: ReplyTo, base: Reply, overflow: Callable[[], None]) -> ReplyStream:
        """A stream for one attempt; `overflow` is called when its chunks cannot be queued."""
        return ReplyStream(self, address, base, overflow)

    def queue(self, stream: ReplyStream, address: ReplyTo, reply: Reply) -> bool:
        """Queue a chunk; False when the backlog is full."""
        if self._queued_bytes > BACKLOG_BYTES:
            return False
        self._queued_bytes += len(reply.body)
        self._queue.append((stream, address, reply))
        self._wake.set()
        return True

    async def run(self) -> None:
        """Write chunks until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._queue:
                stream, address, reply = self._queue.popleft()
                self._queued_bytes -= len(reply.body)
                stream.was_posted(await self._post_chunk(address, reply))

    async def _post_chunk(self, address: ReplyTo, reply: Reply) -> "Future[RecordMetadata] | None":
        try:
            ack = await self._chunks.post(
                address.topic,
                reply.body,
                key=reply.id.encode(),
                headers=encode(reply, self._source),
                partition=address.partition,
            )
        except KafkaError as error:
            self._log.warning("chunk_lost", request_id=reply.id, code=type(error).__name__)
            return None
        ack.add_done_callback(self._chunk_acked)
        return ack

    def _chunk_acked(self, ack: "Future[RecordMetadata]") -> None:
        error = None if ack.cancelled() else ack.exception()
        if error is not None:
            self._log.warning("chunk_lost", code=type(error).__name__)

    async def final(self, address: ReplyTo, reply: Reply) -> None:
        """Send a final, in parts where it is long; returns when acknowledged. Raises `Undeliverable`."""
        body, key = reply.body, reply.id.encode()
        if len(body) <= PART_BYTES:
            await self._finals.send(
                address.topic,
                body,
                key=key,
                headers=encode(reply, self._source),
                partition=address.partition,
            )
            return
        parts = [body[i : i + PART_BYTES] for i in range(0, len(body), PART_BYTES)]
        for number, part in enumerate(parts, 1):
            reply.part = (number, len(parts))
            headers = encode(reply, self._source)
            await self._bulk.send(
                address.topic, part, key=key, headers=headers, partition=address.partition
            )

    async def side(self, topic: str, value: bytes, key: bytes, partitions: int) -> None:
        """A record that may be lost with the process: sent, its ack only observed."""
        partition = key_partition(key, partitions)
        try:
            ack = await self._finals.post(topic, value, key=key, partition=partition)
        except KafkaError as error:
            self._log.warning("event_lost", topic=topic, code=type(error).__name__)
            return
        ack.add_done_callback(self._event_acked)

    def _event_acked(self, ack: "Future[RecordMetadata]") -> None:
        error = None if ack.cancelled() else ack.exception()
        if error is not None:
            self._log.warning("event_lost", code=type(error).__name__)
