"""A dispatcher's part in the limits, on a real Kafka: the real holder, and requests that take no time."""

import asyncio
import contextlib
import time
from types import TracebackType
from typing import Self

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError

from headrace.dispatcher.governor.holder import Holder
from headrace.dispatcher.governor.timing import Timing
from headrace.schemas.journal import ProcessId
from headrace.schemas.limits import LIMIT_PARTITION, Unreadable, Want, decode_command, encode
from headrace.schemas.topics import Topics
from support.limits import flow

FLOW = flow(deployment="east")
TOLD = 16
GRANTS_BACK = 100


class Asker:
    """Always has something queued; `spends` are the times at which it sent, by this machine's clock."""

    def __init__(self, bootstrap: str, topics: Topics, name: str = "asker") -> None:
        self.spends: list[float] = []
        self.holder = Holder(ProcessId(name), Timing(), mono_ms())
        self._reports = topics.limit_reports
        self._grants = TopicPartition(topics.limit_grants, LIMIT_PARTITION)
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=bootstrap, enable_auto_commit=False, auto_offset_reset="earliest"
        )
        self._producer = AIOKafkaProducer(bootstrap_servers=bootstrap, request_timeout_ms=2_000)
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        await self._producer.start()
        await self._consumer.start()
        self._consumer.assign([self._grants])
        (end,) = (await self._consumer.end_offsets([self._grants])).values()
        self._consumer.seek(self._grants, max(0, end - GRANTS_BACK))
        self._tasks = [asyncio.create_task(one) for one in (self._read(), self._report())]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for task in self._tasks:
            task.cancel()
        ends = await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._consumer.stop()
        await self._producer.stop()
        assert all(isinstance(end, asyncio.CancelledError) for end in ends), ends

    def most_in(self, window_s: float) -> int:
        """How much was sent in any window of that length, at most."""
        most = first = 0
        for last, at in enumerate(self.spends):
            while self.spends[first] <= at - window_s:
                first += 1
            most = max(most, last - first + 1)
        return most

    async def _read(self) -> None:
        while True:
            with contextlib.suppress(KafkaError):
                for records in (await self._consumer.getmany(timeout_ms=100)).values():
                    for record in records:
                        command = decode_command(record.value or b"")
                        if not isinstance(command, Unreadable):
                            self.holder.take(command, mono_ms())
                self._send()

    async def _report(self) -> None:
        while True:
            self._send()
            if self.holder.due_ms() <= mono_ms():
                value = encode(self.holder.report(mono_ms()))
                with contextlib.suppress(KafkaError):
                    ack = await self._producer.send(self._reports, value, partition=LIMIT_PARTITION)
                    ack.add_done_callback(lambda done: done.cancelled() or done.exception())
            await asyncio.sleep(0.01)

    def _send(self) -> None:
        at_ms = mono_ms()
        while (ticket := self.holder.spend(FLOW, 1, 1, at_ms)) is not None:
            self.spends.append(at_ms / 1000)
            self.holder.release(ticket, at_ms)
        self.holder.want(FLOW, [Want(1, 1, 1, TOLD)], mono_ms())


def mono_ms() -> int:
    """This process's clock."""
    return int(time.monotonic() * 1000)
