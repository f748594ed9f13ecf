"""What a consumer has fetched, a little at a time and from all partitions by turns.

aiokafka hands out what it has fetched without a pause, one partition's fetch to its end before the next:
with small records that is thousands of one partition, while nothing of the others is seen.
"""

from collections.abc import Sequence

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.structs import ConsumerRecord

_POLL_MS = 100
AT_ONCE = 32
"""Records that one read returns."""
_NOTHING = TopicPartition("", 0)
"""`getmany` of this gives no record, and tells errors."""

Records = list["ConsumerRecord[bytes, bytes]"]


class Reading:
    """Of one consumer."""

    def __init__(self, consumer: AIOKafkaConsumer) -> None:
        self._consumer = consumer
        self._had_turn: set[TopicPartition] = set()

    async def read(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, Records]:
        """At most `AT_ONCE` records of these; none after a tenth of a second. Raises as `getmany` does.

        Asked without a partition too: only so does aiokafka join again after an error.
        """
        batches: dict[TopicPartition, Records] = {}
        if self._had_turn and (rest := [tp for tp in partitions if tp not in self._had_turn]):
            batches = await self._consumer.getmany(*rest, timeout_ms=0, max_records=AT_ONCE)
        if not batches:
            self._had_turn.clear()
            batches = await self._consumer.getmany(
                *(partitions or (_NOTHING,)), timeout_ms=_POLL_MS, max_records=AT_ONCE
            )
        if self._had_turn or sum(map(len, batches.values())) >= AT_ONCE:
            self._had_turn.update(batches)
        return batches
