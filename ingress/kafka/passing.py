"""What the intake writes: requests to their lanes, rejected records to the dead letters, answers."""

import asyncio
from collections.abc import Awaitable
from typing import Any

from aiokafka.errors import KafkaError, UnknownTopicOrPartitionError
from aiokafka.structs import RecordMetadata

from headrace.ingress.intake.check import InboxRecord, Rejected, foreign_headers
from headrace.ingress.kafka.connect import started
from headrace.ingress.kafka.letters import Letters
from headrace.ingress.kafka.producer import Producer, size_of
from headrace.schemas import records, replies, status
from headrace.schemas.errors import CATALOGUE, Code, error_body
from headrace.schemas.names import Endpoint, Kind, LaneName, Outcome, RequestId
from headrace.schemas.records import ReplyTo, RequestRecord
from headrace.schemas.replies import PART_BYTES, Reply
from headrace.schemas.status import Queued, indexed_partition, status_key
from headrace.schemas.topics import RECORD_BYTES, Topics, lane_place, murmur2
from headrace.telemetry.logs import Log

CONNECT_S = 5.0
ACK_S = 15.0
"""Longer than a leader's election; then the connection is made anew, and the batch read again."""
ANSWER_S = 5.0
"""How long a tenant's own topic may hold up the intake."""
ROOM_BYTES = 1024
"""For what a request with a kind has more in its headers than it came with."""
_TOO_LARGE = "The request and its headers are larger than a record of a lane may be."


class Passing:
    """All that an intake writes: a producer for requests and answers, another for dead letters."""

    def __init__(
        self, options: dict[str, Any], name: str, topics: Topics, lanes: list[LaneName], log: Log
    ) -> None:
        self._producer = Producer(options, name=f"{name}-intake")
        self._letters = Letters(options, name, topics.dead_letters, log)
        self._topics = topics
        self._lanes = lanes
        self._source = f"headrace/ingress/{name}".encode()
        self._log = log

    async def open(self) -> None:
        """Connect, and learn the lanes. Raises `KafkaError` or `TimeoutError`."""
        async with asyncio.timeout(CONNECT_S):
            await started(self._producer.start())
            needed = [self._topics.requests(lane) for lane in self._lanes]
            await self._producer.learn([*needed, self._topics.results])
            await self._letters.open()

    async def close(self) -> None:
        """Close; what has no ack is written again by whoever reads the inbox next."""
        await self._letters.close()
        await self._producer.abandon()

    def misfit(self, record: RequestRecord, written: InboxRecord) -> Rejected | None:
        """Why `record` cannot be written to its lane, if so: its producer may have compressed it."""
        size = size_of(record.id.encode(), record.body, self._headers(record, written))
        if size + ROOM_BYTES <= RECORD_BYTES:
            return None
        reply = record.reply and ReplyTo(record.reply.topic, record.reply.partition)
        return Rejected(record.id, Code.RECORD_TOO_LARGE, _TOO_LARGE, reply)

    def results_of(self, request_id: RequestId) -> ReplyTo:
        """Where the answer of a request goes for which nobody waits on a connection."""
        partitions = self._producer.partitions_of(self._topics.results) or 1
        return ReplyTo(self._topics.results, murmur2(request_id.encode()) % partitions)

    async def request(self, record: RequestRecord, written: InboxRecord) -> None:
        """Write a request to its lane. Returns when acknowledged; raises `KafkaError`."""
        topic = self._topics.requests(record.lane)
        partitions = self._producer.partitions_of(topic)
        if not partitions:
            raise UnknownTopicOrPartitionError(topic)
        key, partition = lane_place(record.tenant, record.id, partitions)
        headers = self._headers(record, written)
        await self._acked(
            self._producer.send(topic, record.body, key=key, partition=partition, headers=headers)
        )

    async def keyed(self, record: RequestRecord, written: InboxRecord) -> None:
        """Write a request with a kind, and that it is queued. Returns when both are acknowledged."""
        key = status_key(record.tenant, record.id)
        row_sent = self._producer.send(
            self._topics.status,
            status.encode(_queued(record)),
            key=key,
            partition=indexed_partition(key),
            headers=[],
        )
        await asyncio.gather(self.request(record, written), self._acked(row_sent))

    async def reject(self, rejected: Rejected, written: InboxRecord) -> None:
        """Keep a bad record as a dead letter, then tell its owner. Raises `KafkaError`."""
        self._log.warning(
            "record_rejected", topic=written.topic, partition=written.partition,
            offset=written.offset, code=rejected.code.value, reason=rejected.message,
        )  # fmt: skip
        await self._letters.bury(rejected, written, ACK_S)
        if rejected.reply is not None:
            await self.answer(rejected.reply, refusal_reply(rejected))

    async def answer(self, address: ReplyTo, reply: Reply) -> None:
        """Write a final to a tenant's own topic, in parts where it is long. One that cannot be written
        (no such topic, no right) is logged: it must not stop other tenants.
        """
        body = reply.body
        parts = [body[i : i + PART_BYTES] for i in range(0, len(body), PART_BYTES)] or [b""]
        try:
            async with asyncio.timeout(ANSWER_S):
                for number, part in enumerate(parts, 1):
                    reply.part = (number, len(parts))
                    ack = await self._producer.send(
                        address.topic, part, key=reply.id.encode(), partition=address.partition,
                        headers=replies.encode(reply, self._source),
                    )  # fmt: skip
                    await ack
        except (KafkaError, AssertionError, TimeoutError) as error:
            # aiokafka asserts that a partition exists.
            self._log.warning("reply_undeliverable", request_id=reply.id, reason=repr(error))

    def _headers(self, record: RequestRecord, written: InboxRecord) -> list[tuple[str, bytes]]:
        return records.encode(record, self._source) + foreign_headers(written.headers)

    async def _acked(self, sending: Awaitable["asyncio.Future[RecordMetadata]"]) -> None:
        async with asyncio.timeout(ACK_S):
            await (await sending)


def refusal_reply(rejected: Rejected) -> Reply:
    """The terminal answer of a record that is not written on."""
    return Reply(
        id=rejected.id,
        body=error_body(rejected.code, rejected.message),
        final=True,
        status=CATALOGUE[rejected.code].status,
        outcome=Outcome.DEAD_LETTERED,
        code=rejected.code.value,
    )


def _queued(record: RequestRecord) -> Queued:
    return Queued(
        tenant=record.tenant,
        id=record.id,
        kind=record.kind or Kind.KEYED,
        model=record.model,
        lane=record.lane,
        endpoint=record.endpoint or Endpoint.CHAT,
        stream=bool(record.stream),
        accepted_ms=record.accepted_ms,
        deadline_ms=record.deadline_ms,
        not_before_ms=record.not_before_ms,
        reply_partition=(record.reply and record.reply.partition) or 0,
    )
