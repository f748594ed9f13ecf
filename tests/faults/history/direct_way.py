"""Requests straight into the lanes' topics, each tenant with a reply topic of its own.

The client drops what it has seen before: after a crash a reply can stand twice in an own reply topic.
"""

import asyncio
import contextlib
import hashlib
import uuid
from asyncio import Future
from types import TracebackType
from typing import Self

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from faults.history.events import Accepted, End, Fail, Invoke, Ok, Seen, Unknown
from faults.history.history import History
from faults.history.http_ways import marks_of, read_answer
from faults.history.target import Request, Target
from headrace.schemas.headers import H
from headrace.schemas.names import LaneName
from headrace.schemas.replies import Reply, decode
from headrace.schemas.topics import Topics


def own_topic(prefix: str, tenant: str) -> str:
    """Where a tenant of the driver's reads its answers."""
    return f"{prefix}own.{tenant}"


class DirectWay:
    """One producer and one reader for all tenants."""

    def __init__(self, target: Target, history: History, timeout_s: float) -> None:
        self._target = target
        self._history = history
        self._timeout_s = timeout_s
        self._topics = Topics(target.prefix)
        self._own = {tenant: own_topic(target.prefix, tenant) for tenant in target.tenants}
        self._waiting: dict[str, Future[Reply]] = {}
        self._parts: dict[tuple[str, int], list[bytes]] = {}
        self._producer = AIOKafkaProducer(
            bootstrap_servers=target.bootstrap, acks="all", enable_idempotence=True
        )
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=target.bootstrap,
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            fetch_max_wait_ms=100,
        )
        self._reading: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        await self._make_topics()
        self._consumer.assign([TopicPartition(topic, 0) for topic in self._own.values()])
        await self._producer.start()
        await self._consumer.start()
        self._reading = asyncio.create_task(self._read())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._reading is not None:
            self._reading.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._reading
        await self._consumer.stop()
        await self._producer.stop()

    async def ask(self, request: Request) -> None:
        """Produce it, and wait for its final."""
        history, number = self._history, request.number
        request_id = str(uuid.uuid4())
        history.write(
            Invoke(
                number=number,
                at=history.now_ms(),
                way=request.way,
                tenant=request.tenant,
                model=request.model,
                lane=request.lane,
                body=request.digest,
                id=request_id,
            )
        )
        answered: Future[Reply] = asyncio.get_running_loop().create_future()
        self._waiting[request_id] = answered
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._produce(request, request_id)
                history.write(Accepted(number=number, at=history.now_ms(), id=request_id))
                reply = await answered
        except (TimeoutError, KafkaError) as broken:
            why = f"{type(broken).__name__}: {broken}"
            seen = Seen(id=request_id)
            history.write(Unknown(number=number, at=history.now_ms(), why=why, seen=seen))
        else:
            event = Ok if reply.status == 200 else Fail
            history.write(event(number=number, at=history.now_ms(), seen=_seen(reply)))
        finally:
            del self._waiting[request_id]

    async def _produce(self, request: Request, request_id: str) -> None:
        headers = {
            H.ID: request_id,
            H.TENANT: request.tenant,
            H.REPLY_TOPIC: self._own[request.tenant],
        }
        await self._producer.send_and_wait(
            self._topics.requests(LaneName(request.lane)),
            request.body,
            key=request_id.encode(),
            headers=[(name.value, value.encode()) for name, value in headers.items()],
        )

    async def _make_topics(self) -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=self._target.bootstrap)
        await admin.start()
        try:
            wanted = [
                NewTopic(
                    topic,
                    1,
                    self._target.copies,
                    topic_configs={"message.timestamp.type": "LogAppendTime"},
                )
                for topic in self._own.values()
            ]
            answer = await admin.create_topics(wanted)
            for topic, code, *_ in getattr(answer, "topic_errors", ()):
                if code and for_code(code) is not TopicAlreadyExistsError:
                    raise for_code(code)(topic)
        finally:
            await admin.close()

    async def _read(self) -> None:
        while True:
            try:
                batches = await self._consumer.getmany(timeout_ms=1_000)
            except KafkaError:
                await asyncio.sleep(0.2)  # a broker is away; what is missed is read later
                continue
            for records in batches.values():
                for record in records:
                    self._take(decode(record.value, record.headers))

    def _take(self, reply: Reply) -> None:
        waiting = self._waiting.get(reply.id)
        if waiting is None or waiting.done() or not reply.final:
            return
        parts = self._parts.setdefault((reply.id, reply.attempt), [])
        parts.append(reply.body)
        if reply.part[0] == reply.part[1]:
            reply.body = b"".join(parts)
            waiting.set_result(reply)
            del self._parts[(reply.id, reply.attempt)]


def _seen(reply: Reply) -> Seen:
    answer = read_answer(reply.body)
    return Seen(
        status=reply.status,
        id=reply.id,
        code=reply.code or ("" if reply.status == 200 else "error"),
        end=End.WHOLE,
        sha256=hashlib.sha256(reply.body).hexdigest(),
        size=len(reply.body),
        marks=marks_of(answer),
        attempt=reply.attempt,
    )
