"""The link to Kafka: connects, watches, and rebuilds what died. `trouble` is the truth that readiness
tells and that each request is judged by: None, or why nothing can be accepted now.
"""

import asyncio
from asyncio import FIRST_COMPLETED
from collections.abc import Sequence
from typing import Any, Protocol

from aiokafka.errors import KafkaError

from headrace.ingress.kafka.connect import (
    AWAY,
    STARTING,
    started,
    trouble_of,
)
from headrace.ingress.kafka.outbox import Outbox
from headrace.ingress.kafka.producer import Producer
from headrace.ingress.kafka.reader import ReplyReader, reply_partition
from headrace.ingress.kafka.rights import lacking, needed_rights
from headrace.ingress.refusal import Refusal
from headrace.schemas.config.clients import client_options
from headrace.schemas.config.model import Config
from headrace.schemas.names import InstanceId, Kind, RequestId
from headrace.schemas.records import ReplyTo
from headrace.schemas.topics import Topics, murmur2
from headrace.telemetry.logs import Log
from headrace.telemetry.tasks import is_cancelled

CONNECT_S = 5.0
PROBE_S = 2.0
PROBE_TIMEOUT_S = 4.0
ALARM_S = 1.0
PAUSE_S = 0.5


class Writer(Protocol):
    """Who writes through the producer of a process."""

    def connect(self, producer: Producer) -> None:
        """Send through `producer`."""
        ...

    def disconnect(self) -> None:
        """There is no producer until the next `connect`."""
        ...


class Link:
    """Owns the producers and the reader of one process."""

    def __init__(
        self,
        config: Config,
        instance: InstanceId,
        outbox: Outbox,
        reader: ReplyReader,
        writers: Sequence[Writer],
        log: Log,
    ) -> None:
        names = Topics(config.kafka.topic_prefix)
        self._options: dict[str, Any] = client_options(config.kafka)
        self._instance = instance
        self._replies, self._results = names.replies, names.results
        self._needed = needed_rights(names, outbox.lane_topics.values())
        self._outbox = outbox
        self._writers = writers
        self._reader = reader
        self._log = log
        self._small: Producer | None = None
        self._large: Producer | None = None
        self._starting_large: asyncio.Task[None] | None = None
        self._alarm = asyncio.Event()
        self.trouble: Refusal | None = STARTING
        self.reply = ReplyTo(names.replies, 0, instance)
        """Where plain requests have their answers sent."""
        self._kept = ReplyTo(names.results, 0, instance)
        """Where those have them sent that outlive their connection."""
        self._result_partitions = 1

    def address(self, kind: Kind | None, request_id: RequestId) -> ReplyTo:
        """Where the answer of a request of this kind goes."""
        if kind is None:
            return self.reply
        if kind is Kind.JOB:
            return ReplyTo(self._results, murmur2(request_id.encode()) % self._result_partitions)
        return self._kept

    def alarm(self) -> None:
        """Look at the producer now: it has not acked anything for too long."""
        self._alarm.set()

    async def run(self) -> None:
        """Keep connected until cancelled."""
        try:
            while True:
                try:
                    small = await self._connect()
                    self._say(None)
                    await self._watch(small)
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

    async def _connect(self) -> Producer:
        self._alarm.clear()
        self._small = small = Producer(self._options, name=f"{self._instance}-small")
        async with asyncio.timeout(CONNECT_S):
            await started(small.start())
        await self._check(small, PROBE_TIMEOUT_S)
        counts = {topic: small.partitions_of(topic) for topic in (self._replies, self._results)}
        async with asyncio.timeout(CONNECT_S):
            await self._reader.open(counts)
        self.reply, self._kept = (
            ReplyTo(topic, reply_partition(self._instance, count), self._instance)
            for topic, count in counts.items()
        )
        self._result_partitions = counts[self._results]
        self._outbox.connect(small, self._large_or_start)
        for writer in self._writers:
            writer.connect(small)
        return small

    async def _check(self, small: Producer, within_s: float) -> None:
        """Raise `_Trouble` unless every topic is there and may be used."""
        needed = list(self._needed)
        async with asyncio.timeout(within_s):
            found = lacking(self._needed, await small.rights_on(needed))
            if found is not None:
                refusal, topic = found
                raise _Trouble(refusal, topic)
            if not await small.learn(needed):
                raise _Trouble(AWAY, "no broker answers")

    async def _watch(self, small: Producer) -> None:
        """Return, by an exception, when the link no longer holds."""
        reading = asyncio.create_task(self._reader.run())
        try:
            while True:
                alarm = asyncio.create_task(self._alarm.wait())
                await asyncio.wait((reading, alarm), timeout=PROBE_S, return_when=FIRST_COMPLETED)
                alarm.cancel()
                if reading.done():
                    reading.result()
                await self._probe(small)
                if self._alarm.is_set():
                    self._alarm.clear()
                    await asyncio.sleep(PAUSE_S)
        finally:
            reading.cancel()
            await asyncio.wait((reading,))

    async def _probe(self, small: Producer) -> None:
        if small.dead or (self._large is not None and self._large.dead):
            raise _Trouble(AWAY, "a producer died")
        if self._outbox.refused is not None:
            raise _Trouble(self._outbox.refused, "a record was refused")
        # Without acks, but with a broker that answers, only some leader is away: the producer is
        # kept, since its other records arrive.
        await self._check(small, ALARM_S if self._alarm.is_set() else PROBE_TIMEOUT_S)
        self._outbox.connect(small, self._large_or_start)  # partitions may have been added

    async def _disconnect(self) -> None:
        self._outbox.disconnect()
        for writer in self._writers:
            writer.disconnect()
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
                await started(producer.start())
            await producer.learn(list(self._needed))
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
