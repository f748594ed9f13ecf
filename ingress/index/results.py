"""Reads whole answers back from `results`, by the places that terminal rows name.

What stands at a place counts only under the id of its request: where the topic was made anew, or has
lost its end, it can be an answer to somebody else. One consumer a process, which seeks; equal wishes
are one read, answers are kept for those who ask next, and everything is bounded. Fetches of different
partitions go out together.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Sequence

import msgspec
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError
from aiokafka.structs import ConsumerRecord, TopicPartition

from headrace.ingress.kafka.connect import closed, started
from headrace.schemas import replies
from headrace.schemas.config.clients import client_options
from headrace.schemas.config.model import KafkaConfig
from headrace.schemas.names import RequestId
from headrace.schemas.records import MalformedRecord
from headrace.schemas.replies import Reply
from headrace.schemas.topics import Topics
from headrace.telemetry.logs import Log

MAX_WAITING = 2_000
"""Answers wanted at a time; beyond it `ResultUnavailable`."""
MAX_KEPT_BYTES = 32 * 1024 * 1024
FETCH_S = 5.0
"""For the answers of one round."""
FETCH_WAIT_MS = 10
"""A fetch that finds nothing holds up the next one, of other partitions, for so long. Between rounds
nothing is fetched at all."""
RETRY_S = 0.5

Wanted = tuple[RequestId, int, int]
"""Whose answer, and partition and offset of its first part."""


class ResultLost(Exception):
    """The answer cannot be read."""


class ResultUnavailable(ResultLost):
    """The answer cannot be read now; it may be later."""


class ResultGone(ResultLost):
    """The answer is not kept any more, or is not there."""


class _Wish:
    """One answer that is being read."""

    def __init__(self, wanted: Wanted, parts: int) -> None:
        self.wanted = wanted
        self.id = wanted[0]
        self.at = wanted[1:]
        self.parts = parts
        self.found: list[Reply] = []
        self.reply: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self.reply.add_done_callback(_seen)

    def take(self, record: "ConsumerRecord[bytes, bytes]") -> None:
        """The next record of the partition, from the wanted offset on."""
        if not self.found and record.offset != self.at[1]:
            self.fail(ResultGone(f"nothing is left at {self.at}"))
            return
        try:
            reply = replies.decode(record.value, record.headers)
        except MalformedRecord as error:
            if not self.found:
                self.fail(ResultGone(str(error)))
            return
        if not self.found and reply.id != self.id:
            self.fail(ResultGone(f"another answer stands at {self.at}"))
            return
        first = self.found[0] if self.found else reply
        if (reply.id, reply.attempt, reply.source) != (first.id, first.attempt, first.source):
            return
        if not reply.final or reply.part != (len(self.found) + 1, self.parts):
            self.fail(ResultGone(f"part {reply.part} at {record.offset}"))
            return
        self.found.append(reply)
        if len(self.found) == self.parts and not self.reply.done():
            body = b"".join(part.body for part in self.found)
            self.reply.set_result(msgspec.structs.replace(first, body=body, part=(1, 1)))

    def fail(self, error: Exception) -> None:
        """It cannot be had."""
        if not self.reply.done():
            self.reply.set_exception(error)


class Results:
    """Answers by place. `run` it as a task."""

    def __init__(self, kafka: KafkaConfig, name: str, log: Log) -> None:
        self._kafka = kafka
        self._topic = Topics(kafka.topic_prefix).results
        self._name = name
        self._log = log
        self._wishes: dict[Wanted, _Wish] = {}
        self._queue: deque[_Wish] = deque()
        self._wanted = asyncio.Event()
        self._kept: OrderedDict[Wanted, Reply] = OrderedDict()
        self._kept_bytes = 0

    async def fetch(self, request_id: RequestId, partition: int, offset: int, parts: int) -> Reply:
        """The final of that request, which begins there, its parts joined.

        Raises `ResultGone` where it is kept no longer, `ResultUnavailable` where Kafka does not give
        it within seconds or too many are wanted.
        """
        wanted = request_id, partition, offset
        kept = self._kept.get(wanted)
        if kept is not None:
            self._kept.move_to_end(wanted)
            return kept
        wish = self._wishes.get(wanted)
        if wish is None:
            if len(self._wishes) >= MAX_WAITING:
                raise ResultUnavailable("too many answers are wanted at once")
            wish = self._wishes[wanted] = _Wish(wanted, parts)
            self._queue.append(wish)
            self._wanted.set()
        try:
            async with asyncio.timeout(FETCH_S * 2):
                return await asyncio.shield(wish.reply)
        except TimeoutError:
            raise ResultUnavailable("the answer could not be read in time") from None

    async def run(self) -> None:
        """Read what is wanted until cancelled. The consumer is made with the first wish."""
        while True:
            await self._wanted.wait()
            consumer = AIOKafkaConsumer(
                **client_options(self._kafka),
                client_id=self._name,
                group_id=None,
                enable_auto_commit=False,
                auto_offset_reset="earliest",
                fetch_max_wait_ms=FETCH_WAIT_MS,
                max_partition_fetch_bytes=64 * 1024,
            )
            try:
                await started(consumer.start())
                await self._serve(consumer)
            except (KafkaError, OSError, TimeoutError) as error:
                self._log.warning("results_unreadable", error=repr(error))
                for wish in list(self._wishes.values()):
                    self._end(wish, ResultUnavailable(type(error).__name__))
                await asyncio.sleep(RETRY_S)
            finally:
                await closed(consumer.stop())

    async def _serve(self, consumer: AIOKafkaConsumer) -> None:
        while True:
            await self._wanted.wait()
            while round_ := self._next_round():
                try:
                    async with asyncio.timeout(FETCH_S):
                        await self._read(consumer, round_)
                except TimeoutError:
                    self._log.warning("results_unreadable", count=len(round_))
                for wish in round_.values():
                    self._end(wish, ResultUnavailable("the answer did not come"))
            self._wanted.clear()
            consumer.unsubscribe()

    def _next_round(self) -> dict[TopicPartition, _Wish]:
        """The oldest wish of each partition."""
        chosen: dict[TopicPartition, _Wish] = {}
        left: deque[_Wish] = deque()
        for wish in self._queue:
            tp = TopicPartition(self._topic, wish.at[0])
            if tp in chosen:
                left.append(wish)
            else:
                chosen[tp] = wish
        self._queue = left
        return chosen

    async def _read(self, consumer: AIOKafkaConsumer, wishes: dict[TopicPartition, _Wish]) -> None:
        consumer.assign(list(wishes))
        for tp, wish in wishes.items():
            consumer.seek(tp, wish.at[1])
        while open_ := [tp for tp, wish in wishes.items() if not wish.reply.done()]:
            batches = await consumer.getmany(*open_, timeout_ms=200)
            for tp, records in batches.items():
                self._hand(wishes[tp], records)
            if not batches:
                ends = await consumer.end_offsets(open_)
                for tp in open_:
                    if ends[tp] <= wishes[tp].at[1]:
                        wishes[tp].fail(ResultGone(f"the partition ends before {wishes[tp].at}"))

    def _hand(self, wish: _Wish, records: Sequence["ConsumerRecord[bytes, bytes]"]) -> None:
        for record in records:
            if wish.reply.done():
                return
            wish.take(record)

    def _end(self, wish: _Wish, otherwise: Exception) -> None:
        """The wish is out; an answer is kept."""
        wish.fail(otherwise)
        if self._wishes.get(wish.wanted) is wish:
            del self._wishes[wish.wanted]
        if wish.reply.exception() is None:
            self._keep(wish.wanted, wish.reply.result())

    def _keep(self, wanted: Wanted, reply: Reply) -> None:
        self._kept[wanted] = reply
        self._kept_bytes += len(reply.body)
        while self._kept_bytes > MAX_KEPT_BYTES:
            _, oldest = self._kept.popitem(last=False)
            self._kept_bytes -= len(oldest.body)


def _seen(reply: "asyncio.Future[Reply]") -> None:
    """Nobody may be waiting any more when it fails."""
    if not reply.cancelled():
        reply.exception()
