"""The link to Kafka: connects, watches, and rebuilds what died. `trouble` is the truth that readiness
tells and that each request is judged by: None, or why nothing can be accepted now.
"""

import asyncio
from typing import Any

from aiokafka.errors import KafkaError

from headrace.ingress.kafka.connect import (
    AWAY,
    DENIED,
    MISSING,
    STARTING,
    client_options,
    is_cancelled,
    trouble_of,
)
from headrace.ingress.kafka.outbox import Outbox
from headrace.ingress.kafka.producer import Producer
from headrace.ingress.kafka.reader import ReplyReader, reply_partition
from headrace.ingress.refusal import Refusal
from headrace.schemas.config.model import Config
from headrace.schemas.names import InstanceId
from headrace.schemas.records import ReplyTo
from headrace.schemas.topics import Topics
from headrace.telemetry.logs import Log

CONNECT_S = 5.0
PROBE_S = 2.0
PROBE_TIMEOUT_S = 3.0
PAUSE_S = 0.5


class Link:
    """Owns the producers and the reader of one process."""

    def __init__(
        self, config: Config, instance: InstanceId, outbox: Outbox, reader: ReplyReader, log: Log
    ) -> None:
        names = Topics(config.kafka.topic_prefix)
        self._options: dict[str, Any] = client_options(config.kafka)
        self._instance = instance
        self._replies = names.replies
        self._topics = [*outbox.lane_topics.values(), names.replies, names.control]
        self._outbox = outbox
        self._reader = reader
        self._log = log
        self._small: Producer | None = None
        self._large: Producer | None = None
        self._starting_large: asyncio.Task[None] | None = None
        self._alarm = asyncio.Event()
        self.trouble: Refusal | None = STARTING
        self.reply = ReplyTo(names.replies, 0, instance)

    def alarm(self) -> None:
        """Look at the producer now: it has not acked anything for too long."""
        self._alarm.set()

    async def run(self) -> None:
        """Keep connected until cancelled."""
        try:
            while True:
                try:
                    await self._connect()
                    self._say(None)
                    await self._watch()
                except (KafkaError, OSError, TimeoutError) as error:
                    refusal = error.refusal if isinstance(error, _Trouble) else trouble_of(error)
                    self._say(refusal, error)
                except asyncio.CancelledError:
                    if is_cancelled():
                        raise
                    self._say(AWAY)
                await self._disconnect()
                await asyncio.sleep(PAUSE_S)
        finally:
            await self._disconnect()

    async def _connect(self) -> None:
        self._alarm.clear()
        self._small = Producer(self._options, name=f"{self._instance}-small")
        async with asyncio.timeout(CONNECT_S):
            await self._small.start()
        self._check(await self._small.refresh(self._topics, PROBE_TIMEOUT_S))
        partitions = self._small.partitions_of(self._replies)
        async with asyncio.timeout(CONNECT_S):
            await self._reader.open(partitions)
        self.reply = ReplyTo(
            self._replies, reply_partition(self._instance, partitions), self._instance
        )
        self._outbox.connect(self._small, self._large_or_start)

    def _check(self, answered: bool) -> None:
        """Raise `_Trouble` unless every topic is there and may be described."""
        assert self._small is not None  # noqa: S101
        if not answered:
            raise _Trouble(AWAY, "no broker answers")
        for topic in self._topics:
            if self._small.denied(topic):
                raise _Trouble(DENIED, topic)
            if not self._small.partitions_of(topic):
                raise _Trouble(MISSING, topic)
        if self._outbox.refused is not None:
            raise _Trouble(self._outbox.refused, "a record was refused")

    async def _watch(self) -> None:
        """Return, by an exception, when the link no longer holds."""
        reading = asyncio.create_task(self._reader.run())
        try:
            while True:
                alarm = asyncio.create_task(self._alarm.wait())
                await asyncio.wait(
                    (reading, alarm), timeout=PROBE_S, return_when=asyncio.FIRST_COMPLETED
                )
                alarm.cancel()
                if reading.done():
                    reading.result()
                if self._alarm.is_set():
                    raise _Trouble(AWAY, "no acks")
                await self._probe()
        finally:
            reading.cancel()
            await asyncio.wait((reading,))

    async def _probe(self) -> None:
        assert self._small is not None  # noqa: S101
        if self._small.dead or (self._large is not None and self._large.dead):
            raise _Trouble(AWAY, "a producer died")
        self._check(await self._small.refresh(self._topics, PROBE_TIMEOUT_S))

    async def _disconnect(self) -> None:
        self._outbox.disconnect()
        if self._starting_large is not None:
            self._starting_large.cancel()
            await asyncio.wait((self._starting_large,))
            self._starting_large = None
        for producer in (self._small, self._large):
            if producer is not None:
                await producer.abandon()
        self._small = self._large = None
        await self._reader.close()

    def _large_or_start(self) -> Producer | None:
        """The compressing producer; it is made when the first long body comes, which goes uncompressed."""
        if self._large is None and self._starting_large is None:
            self._starting_large = asyncio.create_task(self._start_large())
        return self._large

    async def _start_large(self) -> None:
        producer = Producer(self._options, name=f"{self._instance}-large", compression="zstd")
        try:
            async with asyncio.timeout(CONNECT_S):
                await producer.start()
            await producer.refresh(self._topics, PROBE_TIMEOUT_S)
            self._large = producer
        except (KafkaError, OSError, TimeoutError) as error:
            self._log.warning("kafka_connect_failed", error=repr(error))
        finally:
            if self._large is None:
                await producer.abandon()
                self._starting_large = None

    def _say(self, trouble: Refusal | None, error: BaseException | None = None) -> None:
        if trouble is not self.trouble:
            if trouble is None:
                self._log.info("kafka_connected")
            else:
                self._log.error("kafka_trouble", code=trouble.code.value, error=repr(error))
        self.trouble = trouble


class _Trouble(KafkaError):
    """A reason to rebuild the link, found by looking."""

    def __init__(self, refusal: Refusal, reason: str) -> None:
        super().__init__(reason)
        self.refusal = refusal
