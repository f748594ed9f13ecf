"""Answers on their way out: finals that must arrive, chunks that must be quick.

Chunks of all streams leave through one queue and one producer, in order; a stream's final is sent when
its chunks are acknowledged, so that a reader of the topic finds them in order too. The queue is
bounded: a stream that cannot be written is ended, not buffered. Once Kafka has not taken a chunk in time,
what follows it of its stream is held until nothing is on its way; then all that was not acknowledged is
written again, in order: readers drop what they have.
"""

import asyncio
from asyncio import Future
from collections import deque
from collections.abc import Callable
from functools import partial

import msgspec
from aiokafka.errors import KafkaError
from aiokafka.structs import RecordMetadata

from headrace.dispatcher.kafka.outbox import Gone, Outbox, Undeliverable
from headrace.schemas.records import ReplyTo
from headrace.schemas.replies import PART_BYTES, Reply, encode
from headrace.telemetry.logs import Log

BACKLOG_BYTES = 64 * 1024 * 1024
"""Chunks that are not acknowledged, all streams of a process together."""
AGAIN_S = 0.5
"""How long a stream rests before it is written again."""


def _seq(held: tuple[ReplyTo, Reply]) -> int:
    return held[1].seq


class ReplyStream:
    """The chunks of one attempt of one request."""

    def __init__(
        self, replies: "Replies", address: ReplyTo, base: Reply, ended: Callable[[], object]
    ) -> None:
        """`base`: what its chunks have in common, and what the first of them tells besides.

        `ended` is called, once, when the stream cannot be written any more.
        """
        self._replies = replies
        self._address = address
        self._base = base
        self._ended = ended
        self._drained: Future[None] | None = None
        self._queued = 0
        self._open = 0
        """Chunks that are neither acknowledged nor dropped."""
        self._acks = 0
        """Acks that are waited for."""
        self._held: list[tuple[ReplyTo, Reply]] = []
        self._resting = False
        self._kept: list[bytes] | None = None
        self._first: Callable[[int, int], object] | None = None
        self.chunks = 0
        """Chunks that are acknowledged: how many precede the final."""
        self.broken = False
        """Kafka will not take a chunk: nothing after it is written, so that no hole looks whole."""

    def outlast(self, topic: str, first: Callable[[int, int], object]) -> None:
        """The request's answer goes elsewhere, and whole: chunks to `topic`, and kept for the answer.

        `first` is told partition and offset of the first chunk.
        """
        self._address = msgspec.structs.replace(self._address, topic=topic)
        self._kept = []
        self._first = first

    @property
    def lasts(self) -> bool:
        """Whether the final has to hold the chunks too."""
        return self._kept is not None

    @property
    def kept(self) -> bytes:
        """All chunks, of a stream that is to outlast them."""
        return b"".join(self._kept or ())

    def forward(self, chunk: bytes) -> None:
        """Queue one chunk."""
        if self.broken:
            return
        if self._kept is not None:
            self._kept.append(chunk)
        base = self._base
        reply = Reply(
            id=base.id,
            body=chunk,
            seq=self._queued + 1,
            attempt=base.attempt,
            instance=base.instance,
        )
        if not self._queued:
            reply.queue_ms, reply.upstream = base.queue_ms, base.upstream
        if self._replies.queue(self, self._address, reply):
            self._queued += 1
            self._open += 1
        else:
            self._break()

    @property
    def holds(self) -> bool:
        """Whether what comes now must wait, since chunks before it do."""
        return bool(self._held)

    def posted(self, address: ReplyTo, reply: Reply, ack: "Future[RecordMetadata]") -> None:
        """A queued chunk was handed to the producer."""
        self._acks += 1
        ack.add_done_callback(partial(self._acked, address, reply))

    def hold(self, address: ReplyTo, reply: Reply) -> None:
        """A queued chunk has to wait for its turn, or for Kafka."""
        if not self._held:
            self._replies.tell_held(reply)
        self._held.append((address, reply))
        self._rest()

    def release(self) -> list[tuple[ReplyTo, Reply]]:
        """What was held, to be written again."""
        held, self._held, self._resting = sorted(self._held, key=_seq), [], False
        return held

    def drop(self, reply: Reply) -> None:
        """A queued chunk will never be written."""
        self._break()
        self._close(reply)

    async def drain(self) -> None:
        """Wait until every chunk is acknowledged, or will never be."""
        if self._open:
            self._drained = asyncio.get_running_loop().create_future()
            await self._drained

    def _acked(self, address: ReplyTo, reply: Reply, ack: "Future[RecordMetadata]") -> None:
        self._acks -= 1
        if ack.cancelled() or ack.exception() is not None:
            self.hold(address, reply)
            return
        self.chunks += 1
        if self._first is not None and reply.seq == 1:
            place = ack.result()
            self._first(place.partition, place.offset)
        self._close(reply)
        self._rest()

    def _rest(self) -> None:
        if self._held and not self._acks and not self._resting:
            self._resting = True
            self._replies.later(self)

    def _close(self, reply: Reply) -> None:
        self._open -= 1
        self._replies.closed(reply)
        if not self._open and self._drained is not None and not self._drained.done():
            self._drained.set_result(None)

    def _break(self) -> None:
        if not self.broken:
            self.broken = True
            self._ended()


class Replies:
    """All answers of one process."""

    def __init__(
        self, *, source: bytes, finals: Outbox, chunks: Outbox, bulk: Outbox, gone: Gone, log: Log
    ) -> None:
        self.source = source.decode()
        """The process, as its records name it."""
        self._source = source
        self._finals = finals
        self._chunks = chunks
        self._bulk = bulk
        self._gone = gone
        self._log = log
        self._queue: deque[tuple[ReplyStream, ReplyTo, Reply]] = deque()
        self._open_bytes = 0
        self._wake = asyncio.Event()

    def open(self, address: ReplyTo, base: Reply, ended: Callable[[], object]) -> ReplyStream:
        """A stream for one attempt; `ended` is called when it cannot be written any more."""
        return ReplyStream(self, address, base, ended)

    def queue(self, stream: ReplyStream, address: ReplyTo, reply: Reply) -> bool:
        """Queue a chunk; False when the backlog is full."""
        if self._open_bytes > BACKLOG_BYTES:
            return False
        self._open_bytes += len(reply.body)
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
                # The rest of such a stream would hold up all others, for a time-out each.
                if stream.broken:
                    stream.drop(reply)
                elif stream.holds:
                    stream.hold(address, reply)
                else:
                    await self._post_chunk(stream, address, reply)

    async def _post_chunk(self, stream: ReplyStream, address: ReplyTo, reply: Reply) -> None:
        try:
            await self._chunks.ready()
            if stream.holds:  # what a replaced producer had has failed
                stream.hold(address, reply)
                return
            ack = await self._chunks.post(
                address.topic,
                reply.body,
                key=reply.id.encode(),
                headers=encode(reply, self._source),
                partition=address.partition,
                gone=self._gone,
            )
        except Undeliverable as error:
            self._log.warning("chunk_lost", request_id=reply.id, code=type(error).__name__)
            stream.drop(reply)
        except KafkaError:
            stream.hold(address, reply)
        else:
            stream.posted(address, reply, ack)

    def tell_held(self, reply: Reply) -> None:
        """Kafka has not taken this chunk in time."""
        self._log.warning("chunks_held", request_id=reply.id, attempt=reply.attempt)

    def closed(self, reply: Reply) -> None:
        """A chunk is acknowledged, or dropped."""
        self._open_bytes -= len(reply.body)

    def later(self, stream: ReplyStream) -> None:
        """Write what a stream holds in a while, before anything else of it."""
        asyncio.get_running_loop().call_later(AGAIN_S, self._write_again, stream)

    def _write_again(self, stream: ReplyStream) -> None:
        self._queue.extendleft((stream, *held) for held in reversed(stream.release()))
        self._wake.set()

    async def final(self, address: ReplyTo, reply: Reply) -> tuple[int, int, int]:
        """Send a final, in parts where it is long; returns when acknowledged.

        Returns its partition, the offset of its first part, and how many parts there are. Raises
        `Undeliverable`.
        """
        body = reply.body
        if len(body) <= PART_BYTES:
            ack = await self._send(self._finals, address, reply, body)
            return ack.partition, ack.offset, 1
        parts = [body[i : i + PART_BYTES] for i in range(0, len(body), PART_BYTES)]
        place: tuple[int, int] | None = None
        for number, part in enumerate(parts, 1):
            reply.part = (number, len(parts))
            ack = await self._send(self._bulk, address, reply, part)
            place = place or (ack.partition, ack.offset)
        return *(place or (0, 0)), len(parts)

    async def _send(
        self, outbox: Outbox, address: ReplyTo, reply: Reply, value: bytes
    ) -> RecordMetadata:
        while True:
            ack = await outbox.send(
                address.topic,
                value,
                key=reply.id.encode(),
                headers=encode(reply, self._source),
                partition=address.partition,
                gone=self._gone,
            )
            if ack.offset >= 0:
                return ack
            # Kafka has it and does not know any more where: readers drop a repeat, which has a place.
