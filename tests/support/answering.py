"""A small dispatcher for tests of the ingress: answers what is asked of it, and remembers all it saw."""

import asyncio
from collections.abc import Callable, Iterable
from contextlib import AsyncExitStack
from typing import Any, Self

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from headrace.schemas import records, replies, status
from headrace.schemas.config.model import Config
from headrace.schemas.names import DeploymentName, Outcome
from headrace.schemas.records import RequestRecord
from headrace.schemas.replies import Reply
from headrace.schemas.status import Running, Status, Terminal, indexed_partition, status_key
from headrace.schemas.topics import Topics

SOURCE = "test"
Answers = Callable[[RequestRecord], Iterable[Reply]]


def answered(request: RequestRecord, body: bytes, **fields: Any) -> Reply:
    """A final of `request` as a dispatcher writes it."""
    told: dict[str, Any] = {
        "outcome": Outcome.COMPLETED, "attempts": 1, "upstream": DeploymentName("east"), "final": True
    } | fields  # fmt: skip
    instance = None if request.reply is None else request.reply.instance
    return Reply(**{"id": request.id, "body": body, "instance": instance} | told)


def chunked(request: RequestRecord, *bodies: bytes, attempt: int = 1) -> list[Reply]:
    """Chunks of `request`'s stream, from seq 1."""
    return [
        answered(request, body, seq=seq, final=False, attempt=attempt)
        for seq, body in enumerate(bodies, 1)
    ]


def _state(request: RequestRecord, reply: Reply, partition: int, offset: int) -> Status:
    if not reply.final:
        return Running(
            tenant=request.tenant, id=request.id, attempt=reply.attempt, deployment=reply.upstream,
            source=SOURCE, chunks=(partition, offset),
        )  # fmt: skip
    assert reply.outcome is not None
    return Terminal(
        tenant=request.tenant, id=request.id, outcome=reply.outcome, status=reply.status, code=reply.code,
        attempt=reply.attempt, attempts=reply.attempts, queue_ms=reply.queue_ms, upstream=reply.upstream,
        result=(partition, offset, 1),
    )  # fmt: skip


class AnsweringDispatcher:
    """Reads every lane and `control` of an installation; `answer` makes the replies to a request."""

    def __init__(self, config: Config, answer: Answers) -> None:
        self._config = config
        self.answer = answer
        self.requests: list[RequestRecord] = []
        self.places: list[tuple[str, int, bytes | None]] = []
        """(topic, partition, key) of each request."""
        self.cancelled: list[str] = []
        names = Topics(config.kafka.topic_prefix)
        self._names = names
        self._control = names.control
        counts = config.kafka.partitions
        self._places = [
            TopicPartition(topic, partition)
            for topic, count in (
                *((names.requests(lane), counts.requests) for lane in config.lanes),
                (names.control, counts.control),
            )
            for partition in range(count)
        ]
        self._exit = AsyncExitStack()

    async def __aenter__(self) -> Self:
        servers = list(self._config.kafka.bootstrap_servers)
        self._producer = AIOKafkaProducer(
            bootstrap_servers=servers, acks="all", max_request_size=4 << 20
        )
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=servers,
            fetch_max_wait_ms=50,
            auto_offset_reset="earliest",
            max_partition_fetch_bytes=8 << 20,
        )
        await self._producer.start()
        self._exit.push_async_callback(self._producer.stop)
        await self._consumer.start()
        self._exit.push_async_callback(self._consumer.stop)
        self._consumer.assign(self._places)
        self._reading = asyncio.create_task(self._read())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._reading.cancel()
        await asyncio.wait((self._reading,))
        await self._exit.aclose()

    async def say(self, request: RequestRecord, found: Iterable[Reply]) -> None:
        """Write replies to where `request` wants them, and its states if it has a kind."""
        assert request.reply is not None
        for reply in found:
            kept = request.kind is not None
            topic = self._names.replies if kept and not reply.final else request.reply.topic
            ack = await self._producer.send_and_wait(
                topic, reply.body, key=request.id.encode(), partition=request.reply.partition,
                headers=replies.encode(reply, SOURCE.encode()),
            )  # fmt: skip
            if kept and (reply.final or reply.seq == 1):
                await self.state(_state(request, reply, ack.partition, ack.offset))

    async def state(self, state: Status) -> None:
        """Write a row."""
        key = status_key(state.tenant, state.id)
        await self._producer.send_and_wait(
            self._names.status, status.encode(state), key=key, partition=indexed_partition(key)
        )

    async def _read(self) -> None:
        while True:
            for found in (await self._consumer.getmany(timeout_ms=500)).values():
                for record in found:
                    if record.topic == self._control:
                        self.cancelled.append(replies.decode_cancel(record.headers).id)
                        continue
                    request = records.decode(
                        record.value,
                        record.headers,
                        topic=record.topic,
                        partition=record.partition,
                        offset=record.offset,
                    )
                    self.requests.append(request)
                    self.places.append((record.topic, record.partition, record.key))
                    await self.say(request, self.answer(request))
