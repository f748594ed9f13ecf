"""The double of aiokafka's consumer, as far as the dispatcher's adapters use it."""

import asyncio
from bisect import bisect_left
from collections.abc import Iterable
from typing import Any

from aiokafka import TopicPartition
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.errors import (
    IllegalStateError,
    KafkaConnectionError,
    RebalanceInProgressError,
    UnknownMemberIdError,
)
from aiokafka.structs import OffsetAndMetadata, OffsetAndTimestamp
from simulation.broker import Broker, Record
from simulation.groups import Membership

FAILS = 0.002
"""How many reads in one fail."""
PAUSE_S = 0.1


class Consumer:
    """With or without a group; the eager protocol; reads what the log holds."""

    def __init__(
        self,
        broker: Broker,
        *,
        group_id: str | None = None,
        heartbeat_interval_ms: int = 500,
        fetch_min_bytes: int = 1,
        fetch_max_wait_ms: int = 100,
        **_options: Any,
    ) -> None:
        self._broker = broker
        self._group = broker.group(group_id) if group_id else None
        self._beat_s = heartbeat_interval_ms / 1000
        self._lag_s = fetch_max_wait_ms / 1000 if fetch_min_bytes > 1 else 0.002
        self._positions: dict[TopicPartition, int] = {}
        self._topics: list[str] = []
        self._listener: ConsumerRebalanceListener | None = None
        self._membership: Membership | None = None
        self._member_id = ""
        self._rejoin = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._generation = 0
        self._fetched = False
        """Whether there is more of what the last read took from: that is handed out without a pause."""
        self._changed: asyncio.Future[None] | None = None
        self._coordinator = self._fetcher = None
        self._client = _Client()

    def subscribe(self, topics: list[str], listener: ConsumerRebalanceListener) -> None:
        self._topics, self._listener = list(topics), listener

    def unsubscribe(self) -> None:
        self.assign([])

    async def start(self) -> None:
        await self._broker.request(lambda: None)
        if self._group is not None:
            self._rejoin.set()
            self._tasks = [
                asyncio.create_task(self._coordinate()),
                asyncio.create_task(self._beat()),
            ]

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._group is not None and self._member_id:
            group, member_id = self._group, self._member_id
            await self._broker.request(lambda: group.leave(member_id))

    def assign(self, places: Iterable[TopicPartition]) -> None:
        self._positions = {place: self._positions.get(place, 0) for place in places}
        self._change()

    def assignment(self) -> set[TopicPartition]:
        return set(self._positions)

    def seek(self, place: TopicPartition, offset: int) -> None:
        if place not in self._positions:
            raise IllegalStateError(f"{place} is not assigned")
        self._positions[place] = offset
        self._change()

    async def position(self, place: TopicPartition) -> int:
        return self._positions[place]

    def highwater(self, place: TopicPartition) -> int | None:
        return len(self._broker.logs[place]) if place in self._positions else None

    async def beginning_offsets(
        self, places: Iterable[TopicPartition]
    ) -> dict[TopicPartition, int]:
        wanted = list(places)
        found: dict[TopicPartition, int] = await self._broker.request(
            lambda: dict.fromkeys(wanted, 0)
        )
        return found

    async def end_offsets(self, places: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        wanted, logs = list(places), self._broker.logs
        found: dict[TopicPartition, int] = await self._broker.request(
            lambda: {place: len(logs[place]) for place in wanted}
        )
        return found

    async def offsets_for_times(
        self, times: dict[TopicPartition, int]
    ) -> dict[TopicPartition, OffsetAndTimestamp | None]:
        found: dict[TopicPartition, OffsetAndTimestamp | None] = await self._broker.request(
            lambda: {place: self._since(place, at_ms) for place, at_ms in times.items()}
        )
        return found

    async def getmany(
        self, *places: TopicPartition, timeout_ms: int = 0, max_records: int | None = None
    ) -> dict[TopicPartition, list[Record]]:
        loop = asyncio.get_running_loop()
        until = loop.time() + timeout_ms / 1000
        if self._broker.rng.random() < FAILS:
            await asyncio.sleep(PAUSE_S)
            raise KafkaConnectionError
        while True:
            generation = self._generation
            wanted = [p for p in places or self._positions if p in self._positions]
            if self._broker.loop.time() >= self._broker.down_until and any(
                len(self._broker.logs[p]) > self._positions[p] for p in wanted
            ):
                if not self._fetched:
                    await asyncio.sleep(self._broker.rng.uniform(0.0002, self._lag_s))
                if generation == self._generation:
                    return self._take(wanted, max_records or 500)
                continue
            if loop.time() >= until:
                return {}
            await self._arrival(wanted, until)

    async def commit(self, offsets: dict[TopicPartition, OffsetAndMetadata]) -> None:
        group, member_id, held = self._group, self._member_id, self._membership
        assert group is not None
        generation = held.generation if held else -1
        if any(place not in self._positions for place in offsets):
            raise IllegalStateError("not assigned")
        await self._broker.request(lambda: group.commit(member_id, generation, dict(offsets)))

    def _since(self, place: TopicPartition, at_ms: int) -> OffsetAndTimestamp | None:
        log = self._broker.logs[place]
        at = bisect_left(log, at_ms, key=lambda record: record.timestamp)
        return OffsetAndTimestamp(at, log[at].timestamp) if at < len(log) else None

    def _take(self, wanted: list[TopicPartition], most: int) -> dict[TopicPartition, list[Record]]:
        found: dict[TopicPartition, list[Record]] = {}
        for place in wanted:
            position = self._positions[place]
            records = self._broker.logs[place][position : position + most]
            if records:
                found[place] = records
                self._positions[place] = position + len(records)
                most -= len(records)
            if most <= 0:
                break
        self._fetched = most <= 0
        return found

    async def _arrival(self, wanted: list[TopicPartition], until: float) -> None:
        loop = asyncio.get_running_loop()
        waiter = self._broker.arrival(wanted)
        self._changed = waiter
        alarm = loop.call_at(max(until, self._broker.down_until if wanted else 0), _wake, waiter)
        try:
            await waiter
        finally:
            alarm.cancel()

    def _change(self) -> None:
        self._generation += 1
        if self._changed is not None:
            _wake(self._changed)

    async def _beat(self) -> None:
        group = self._group
        assert group is not None
        while True:
            await asyncio.sleep(self._beat_s)
            held, member_id = self._membership, self._member_id
            if held is None:
                continue
            try:
                await self._broker.request(
                    lambda g=held.generation, m=member_id: group.heartbeat(m, g)
                )
            except RebalanceInProgressError:
                self._rejoin.set()
            except UnknownMemberIdError:
                if member_id == self._member_id:
                    self._member_id = ""
                self._rejoin.set()

    async def _coordinate(self) -> None:
        group, listener = self._group, self._listener
        assert group is not None
        assert listener is not None
        while True:
            await self._rejoin.wait()
            self._rejoin.clear()
            await self._call(listener.on_partitions_revoked, set(self._positions))
            self._membership = None
            member_id = self._member_id or f"{group.name}-{self._broker.rng.getrandbits(40):010x}"
            self._member_id = member_id
            joined: Membership = await self._broker.request(
                lambda m=member_id: group.join(m, self._topics)
            )
            self._positions = {
                place: group.offsets[place].offset if place in group.offsets else 0
                for place in joined.places
            }
            self._membership = joined
            self._change()
            await self._call(listener.on_partitions_assigned, set(joined.places))

    async def _call(self, told: Any, places: set[TopicPartition]) -> None:
        """aiokafka logs what a listener raises, and goes on."""
        try:
            await told(sorted(places))
        except Exception as error:  # noqa: BLE001 - whatever it is
            self._broker.complaints.append(f"a listener raised {error!r}")


def _wake(waiter: "asyncio.Future[None]") -> None:
    if not waiter.done():
        waiter.set_result(None)


class _Client:
    """What is left to close of a consumer that could not say good-bye."""

    async def close(self) -> None:
        """Nothing is open here."""
