"""Whether a partition is still the log that its journal speaks of.

A topic that was deleted and created again has the same name and other records at the same offsets. The
journal keeps the timestamp of one record; here it is looked up. Timestamps of a log grow, unless brokers
whose clocks differ took turns: so where the quick look by time finds another record, the one at the
offset itself is read.
"""

from dataclasses import dataclass

from aiokafka import TopicPartition
from aiokafka.structs import ConsumerRecord

from headrace.dispatcher.kafka.follower import Follower

Passed = tuple[int, int] | None
"""Offset and timestamp of a record that was read."""


@dataclass(slots=True)
class SourceLog:
    """One partition as it is now."""

    first: int
    end: int
    other: bool
    """Whether it is not the log of the record that was asked for."""


class SourceLogs:
    """Looks partitions up, through the follower's connection."""

    def __init__(self, follower: Follower) -> None:
        self._follower = follower

    async def examine(
        self, passed: dict[TopicPartition, Passed]
    ) -> dict[TopicPartition, SourceLog]:
        """Each partition, and whether the record that was passed is still there or was removed by age.

        Raises `KafkaError`.
        """
        bounds = await self._follower.bounds(list(passed))
        logs = {tp: SourceLog(first, end, False) for tp, (first, end) in bounds.items()}
        known = {tp: one for tp, one in passed.items() if one and one[0] >= logs[tp].first}
        for tp, (offset, _) in known.items():
            logs[tp].other = offset >= logs[tp].end
        found = await self._follower.found({tp: at_ms for tp, (_, at_ms) in known.items()})
        doubtful = {
            tp: one
            for tp, one in known.items()
            if not logs[tp].other and ((at := found.get(tp)) is None or at[1] != one[1])
        }
        for tp, one in (await self._read(doubtful)).items():
            logs[tp].other = one != doubtful[tp]
        return logs

    async def _read(
        self, wanted: dict[TopicPartition, tuple[int, int]]
    ) -> dict[TopicPartition, tuple[int, int]]:
        """Offset and timestamp of the first record from each wanted offset on."""
        out: dict[TopicPartition, tuple[int, int]] = {}

        def take(record: "ConsumerRecord[bytes, bytes]") -> None:
            tp = TopicPartition(record.topic, record.partition)
            out.setdefault(tp, (record.offset, record.timestamp))

        starts = {tp: (offset, offset + 1, take) for tp, (offset, _) in wanted.items()}
        if starts:
            await self._follower.follow(starts)
            self._follower.unfollow(list(starts))
        return out
