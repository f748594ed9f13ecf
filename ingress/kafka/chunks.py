"""Reads the chunks of resumed streams out of `replies`, whichever process they were written for.

One reader a partition, shared by all streams that are followed there, and made when the first comes:
a client that resumes costs no consumer of its own. Each stream has a `Tap`, which says where it is;
when one wants to read from further back, the shared reader goes back, and the others skip what they
have. A slow client's tap overflows, is left out, and goes back later by itself.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError
from aiokafka.structs import ConsumerRecord, TopicPartition

from headrace.ingress.kafka.connect import closed, started
from headrace.schemas import replies
from headrace.schemas.names import RequestId
from headrace.schemas.records import MalformedRecord
from headrace.schemas.replies import Reply
from headrace.telemetry.logs import Log
from headrace.telemetry.tasks import is_cancelled

IDLE_S = 5.0
"""How long a reader without a tap stays connected."""
RETRY_S = 0.5
POLL_MS = 100
TAP_BYTES = 1024 * 1024
"""Chunks held for one client that does not take them; beyond it they are read again later."""
HELD_BYTES = 64 * 1024 * 1024
"""Chunks held for all clients of a process; beyond it each holds one."""


class Tap:
    """The chunks of one request from one place on."""

    def __init__(
        self, held: "_Held", request_id: RequestId, partition: int, offset: int, wake: Callable[[], None]
    ) -> None:  # fmt: skip
        self.key = request_id.encode()
        self.partition = partition
        self.next_offset = offset
        self.gone = False
        """True when its place is not kept any more."""
        self.overflowed = False
        self._wake = wake
        self._all = held
        self._held: deque[Reply] = deque()
        self._held_bytes = 0

    def take(self) -> Reply | None:
        """The next chunk, if it is here."""
        if not self._held:
            return None
        reply = self._held.popleft()
        self._hold(-len(reply.body))
        return reply

    def put(self, record: "ConsumerRecord[bytes, bytes]", reply: Reply) -> None:
        """A chunk of its request; called by the reader, in the log's order."""
        size = len(reply.body)
        full = self._held_bytes + size > TAP_BYTES or self._all.size + size > HELD_BYTES
        if full and self._held:
            self.overflowed = True
        else:
            self._held.append(reply)
            self._hold(size)
            self.next_offset = record.offset + 1
        self._wake()

    def drop(self) -> None:
        """Let go of what is held."""
        self._held.clear()
        self._hold(-self._held_bytes)

    def lose(self) -> None:
        """Its place is not kept any more."""
        self.gone = True
        self._wake()

    def _hold(self, size: int) -> None:
        self._held_bytes += size
        self._all.size += size


class _Held:
    """Bytes held by all taps of a process."""

    __slots__ = ("size",)

    def __init__(self) -> None:
        self.size = 0


class Chunks:
    """All readers of one process. `close` ends them."""

    def __init__(self, options: dict[str, Any], topic: str, log: Log) -> None:
        self._options = options
        self._topic = topic
        self._log = log
        self._readers: dict[int, _Reader] = {}
        self._held = _Held()

    def open(
        self, request_id: RequestId, partition: int, offset: int, wake: Callable[[], None]
    ) -> Tap:
        """Follow a request's chunks from `offset`; `wake` is called for each. End it by `leave`."""
        tap = Tap(self._held, request_id, partition, offset, wake)
        self._join(tap)
        return tap

    def again(self, tap: Tap) -> None:
        """Go on with a tap that has overflowed and was emptied."""
        tap.overflowed = False
        self._join(tap)

    def leave(self, tap: Tap) -> None:
        """Follow it no longer."""
        tap.drop()
        reader = self._readers.get(tap.partition)
        if reader is not None:
            reader.remove(tap)

    def _join(self, tap: Tap) -> None:
        reader = self._readers.get(tap.partition)
        if reader is None or reader.ended:
            place = TopicPartition(self._topic, tap.partition)
            reader = self._readers[tap.partition] = _Reader(self._options, place, self._log)
        reader.add(tap)

    async def close(self) -> None:
        """End all readers."""
        readers = [reader for reader in self._readers.values() if not reader.ended]
        self._readers.clear()
        for reader in readers:
            await reader.close()


class _Reader:
    """The shared reader of one partition; ends by itself when it is idle."""

    def __init__(self, options: dict[str, Any], place: TopicPartition, log: Log) -> None:
        self._options = options
        self._place = place
        self._log = log
        self._taps: dict[bytes, list[Tap]] = {}
        self._new: list[Tap] = []
        self._arrived = asyncio.Event()
        self._leaving = False
        self._task = asyncio.create_task(self._run())

    @property
    def ended(self) -> bool:
        return self._leaving or self._task.done()

    def add(self, tap: Tap) -> None:
        self._new.append(tap)
        self._arrived.set()

    def remove(self, tap: Tap) -> None:
        if tap in self._new:
            self._new.remove(tap)
        taps = self._taps.get(tap.key, [])
        if tap in taps:
            taps.remove(tap)
        if not taps:
            self._taps.pop(tap.key, None)

    async def close(self) -> None:
        self._task.cancel()
        await asyncio.wait((self._task,))

    async def _run(self) -> None:
        while not self._leaving:
            consumer = AIOKafkaConsumer(
                **self._options,
                group_id=None,
                enable_auto_commit=False,
                auto_offset_reset="earliest",
                fetch_min_bytes=1,
                fetch_max_wait_ms=100,
                max_partition_fetch_bytes=4 * 1024 * 1024,
            )
            consumer.assign([self._place])
            try:
                await started(consumer.start())
                self._new += [tap for taps in self._taps.values() for tap in taps]
                self._taps.clear()
                await self._read(consumer)
            except KafkaError as error:
                self._log.warning(
                    "chunks_unreadable", partition=self._place.partition, error=repr(error)
                )
            except asyncio.CancelledError:
                if is_cancelled():
                    raise
            finally:
                await closed(consumer.stop())
            if not self._leaving:
                await asyncio.sleep(RETRY_S)

    async def _read(self, consumer: AIOKafkaConsumer) -> None:
        """Read until nobody follows anything. Raises `KafkaError`."""
        while await self._wanted():
            if self._new:
                await self._go_back(consumer)
            for record in await self._poll(consumer):
                for tap in tuple(self._taps.get(record.key or b"", ())):
                    self._pass_on(tap, record)

    async def _wanted(self) -> bool:
        if not self._taps and not self._new:
            self._arrived.clear()
            try:
                async with asyncio.timeout(IDLE_S):
                    await self._arrived.wait()
            except TimeoutError:
                self._leaving = not self._new
        return not self._leaving

    async def _poll(self, consumer: AIOKafkaConsumer) -> "list[ConsumerRecord[bytes, bytes]]":
        found = await consumer.getmany(self._place, timeout_ms=POLL_MS)
        return [record for batch in found.values() for record in batch]

    async def _go_back(self, consumer: AIOKafkaConsumer) -> None:
        """Let in who came, and read from the furthest back of them if that was passed already."""
        first = (await consumer.beginning_offsets([self._place]))[self._place]
        position = await consumer.position(self._place) if self._taps else None
        new, self._new = self._new, []
        for tap in new:
            if tap.next_offset < first:
                tap.lose()
                continue
            self._taps.setdefault(tap.key, []).append(tap)
            if position is None or tap.next_offset < position:
                position = tap.next_offset
                consumer.seek(self._place, position)

    def _pass_on(self, tap: Tap, record: "ConsumerRecord[bytes, bytes]") -> None:
        if record.offset < tap.next_offset:
            return
        try:
            reply = replies.decode(record.value, record.headers)
        except MalformedRecord as error:
            self._log.warning("reply_unreadable", code=error.code, offset=record.offset)
            return
        if reply.final:
            return
        tap.put(record, reply)
        if tap.overflowed:
            self.remove(tap)
