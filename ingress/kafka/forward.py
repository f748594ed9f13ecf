"""Replies of this process that another one waits for, written on to where that one reads."""

import asyncio

from aiokafka.errors import KafkaError
from aiokafka.structs import RecordMetadata

from headrace.ingress.kafka.producer import Producer
from headrace.ingress.kafka.reader import reply_partition
from headrace.schemas import replies
from headrace.schemas.names import InstanceId
from headrace.schemas.replies import Reply
from headrace.telemetry.logs import Log

MAX_WAITING_BYTES = 64 * 1024 * 1024
"""Replies that wait for Kafka; beyond it one more is lost, and its client waits in vain."""


class Forward:
    """Writes to `replies` through the producer that `Link` gives it, in the order of the calls."""

    def __init__(self, topic: str, log: Log) -> None:
        self._topic = topic
        self._log = log
        self._producer: Producer | None = None
        self._waiting: asyncio.Queue[tuple[Reply, InstanceId]] = asyncio.Queue()
        self._waiting_bytes = 0
        self._unacked = 0

    def __len__(self) -> int:
        """Replies that Kafka has not acknowledged yet."""
        return self._unacked

    def connect(self, producer: Producer) -> None:
        """Send through `producer`."""
        self._producer = producer

    def disconnect(self) -> None:
        """Lose what comes until the next `connect`."""
        self._producer = None

    def send(self, reply: Reply, taker: InstanceId) -> None:
        """Have `taker` get this reply. It names the process that wrote it first, as streams are told
        apart by that.
        """
        if self._waiting_bytes + len(reply.body) > MAX_WAITING_BYTES:
            self._log.warning("reply_undeliverable", request_id=reply.id, reason="forward_full")
            return
        self._waiting_bytes += len(reply.body)
        self._unacked += 1
        self._waiting.put_nowait((reply, taker))

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            reply, taker = await self._waiting.get()
            self._waiting_bytes -= len(reply.body)
            producer = self._producer
            if producer is None:
                self._lost(reply, "not connected")
                continue
            try:
                ack = await self._write(producer, reply, taker)
            except KafkaError as error:
                self._lost(reply, repr(error))
            else:
                ack.add_done_callback(self._acked)

    def _lost(self, reply: Reply, reason: str) -> None:
        self._unacked -= 1
        self._log.warning("reply_undeliverable", request_id=reply.id, reason=reason)

    def _acked(self, ack: "asyncio.Future[RecordMetadata]") -> None:
        self._unacked -= 1
        if not ack.cancelled():
            ack.exception()

    async def _write(
        self, producer: Producer, reply: Reply, taker: InstanceId
    ) -> "asyncio.Future[RecordMetadata]":
        reply.instance = taker
        return await producer.send(
            self._topic,
            reply.body,
            key=reply.id.encode(),
            partition=reply_partition(taker, producer.partitions_of(self._topic)),
            headers=replies.encode(reply, reply.source),
        )
