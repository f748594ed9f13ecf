"""This process among the others: its beats, theirs, and the cancels that concern all."""

import asyncio

import msgspec
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import for_code
from aiokafka.structs import ConsumerRecord

from headrace.dispatcher.fleet import BEAT_S, Fleet
from headrace.dispatcher.kafka.follower import Follower, Take
from headrace.dispatcher.kafka.outbox import Outbox
from headrace.dispatcher.ports import Clock, TakeCancel
from headrace.schemas.journal import Beat, decode_beat, encode
from headrace.schemas.records import MalformedRecord
from headrace.schemas.replies import decode_cancel
from headrace.schemas.topics import Topics
from headrace.telemetry.logs import Log

FLEET_BACK = 2_000
"""Beats read back at the start: more than every process of a large fleet sends in the time that counts."""


class Membership:
    """Beats and follows; one per process."""

    def __init__(
        self,
        *,
        topics: Topics,
        fleet: Fleet,
        follower: Follower,
        admin: AIOKafkaAdminClient,
        control: Outbox,
        clock: Clock,
        cancelled: TakeCancel,
        log: Log,
    ) -> None:
        self._topics = topics
        self._fleet = fleet
        self._follower = follower
        self._admin = admin
        self._control = control
        self._clock = clock
        self._cancelled = cancelled
        self._log = log

    async def catch_up(self) -> None:
        """Know who lives and what was cancelled, before the first request is read.

        Raises `KafkaError`; may be called again.
        """
        fleet = await self._starts(self._topics.fleet, FLEET_BACK, self._take_beat)
        cancels = await self._starts(self._topics.control, None, self._take_cancel)
        await self._follower.follow(fleet | cancels)

    async def beat(self) -> None:
        """Say once a second that this process lives, until cancelled."""
        while True:
            beat = Beat(self._fleet.own, int(self._clock.monotonic() * 1000))
            await self._control.send(self._topics.fleet, encode(beat), partition=0)
            await asyncio.sleep(BEAT_S)

    async def _starts(
        self, topic: str, back: int | None, take: Take
    ) -> dict[TopicPartition, tuple[int, int, Take]]:
        """From where to where each partition of `topic` is read: all of it, or the last `back`."""
        (described,) = await self._admin.describe_topics([topic])
        if described["error_code"]:
            raise for_code(described["error_code"])(topic)
        partitions = [TopicPartition(topic, one["partition"]) for one in described["partitions"]]
        bounds = await self._follower.bounds(partitions)
        return {
            tp: (first if back is None else max(first, end - back), end, take)
            for tp, (first, end) in bounds.items()
        }

    def _take_beat(self, record: "ConsumerRecord[bytes, bytes]") -> None:
        try:
            beat = decode_beat(record.value or b"")
        except msgspec.MsgspecError as error:
            self._log.warning("beat_unreadable", offset=record.offset, error=str(error))
            return
        self._fleet.beat(beat, record.timestamp)

    def _take_cancel(self, record: "ConsumerRecord[bytes, bytes]") -> None:
        try:
            cancel = decode_cancel(record.headers)
        except MalformedRecord as error:
            self._log.warning(
                "cancel_unreadable",
                partition=record.partition,
                offset=record.offset,
                code=error.code,
            )
            return
        self._cancelled(cancel)
