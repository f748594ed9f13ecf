"""The grants of the governor as a dispatcher reads them. Only where something is limited.

While Kafka is away no grants come, and what is in hand lapses by itself.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Final

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError
from aiokafka.structs import ConsumerRecord

from headrace.dispatcher.credits import Credits
from headrace.dispatcher.kafka.follower import INSTANT, Follower
from headrace.dispatcher.metrics import Metrics
from headrace.dispatcher.ports import Clock
from headrace.schemas.config.model import KafkaConfig
from headrace.schemas.limits import LIMIT_PARTITION, Unreadable, decode_command
from headrace.schemas.topics import Topics
from headrace.telemetry.logs import Log

BACK_MS: Final = 10_000
"""Grants are read from so long ago on: whoever owns the partition has written something since."""
PAUSE_S: Final = 0.5
LOOK_S: Final = 1.0
"""How soon a lapse is told of that was noticed elsewhere."""


class CreditChannel:
    """One per process."""

    def __init__(
        self,
        kafka: KafkaConfig,
        in_hand: Credits,
        *,
        name: str,
        topics: Topics,
        clock: Clock,
        woken: Callable[[], None],
        metrics: Metrics,
        log: Log,
    ) -> None:
        """`woken` is called when more may be spent than before."""
        self._credits = in_hand
        self._grants = TopicPartition(topics.limit_grants, LIMIT_PARTITION)
        self._clock = clock
        self._woken = woken
        self._metrics = metrics
        self._log = log
        self._follower = Follower(kafka, f"{name}-credits", log, pace=INSTANT)
        self._lapses = 0

    async def start(self) -> None:
        """Connect. Raises `KafkaError`."""
        await self._follower.start()

    def works(self) -> tuple[Coroutine[None, None, None], ...]:
        """What runs from then on."""
        return self._follower.run(), self._listen()

    async def close(self) -> None:
        """Stop reading; may come twice."""
        await self._follower.close()

    async def _listen(self) -> None:
        """Begin to read the grants, which `Follower.run` does then; and see to lapses in time.

        Calls that lose their seats are cut, whatever a report waits for.
        """
        following = False
        while True:
            following = following or await self._follows()
            left_s = (self._credits.lapse_ms() - self._mono_ms()) / 1000
            await asyncio.sleep(min(max(0.001, left_s), LOOK_S if following else PAUSE_S))
            self._credits.valid(self._mono_ms())
            self._note_lapses()

    async def _follows(self) -> bool:
        try:
            times = {self._grants: self._clock.now_ms() - BACK_MS}
            starts = await self._follower.since(times)
        except KafkaError as error:
            self._log.warning("kafka_follow_failed", code=type(error).__name__)
            return False
        start = starts[self._grants]
        await self._follower.follow(
            {self._grants: (start, start, self._take)}, anew=(self._grants,)
        )
        return True

    def _take(self, record: "ConsumerRecord[bytes, bytes]") -> None:
        command = decode_command(record.value or b"")
        if isinstance(command, Unreadable):
            self._metrics.limit_records.inc()
            self._log.warning("limit_record_unreadable", offset=record.offset, error=command.reason)
            return
        if self._credits.take(command, self._mono_ms()):
            self._woken()
        self._note_lapses()

    def _note_lapses(self) -> None:
        lapses = self._credits.lapses
        if lapses > self._lapses:
            self._metrics.credits_lapsed.inc(lapses - self._lapses)
            self._lapses = lapses
            self._log.warning("credits_lapsed", count=lapses)
            cut = self._credits.cut_lost()
            if cut:
                self._metrics.seats_lost.inc(cut)
                self._log.warning("calls_cut", count=cut)

    def _mono_ms(self) -> int:
        return int(self._clock.monotonic() * 1000)
