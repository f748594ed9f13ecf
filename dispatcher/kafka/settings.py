"""Follows `settings` from its beginning: what operators set is known before anything is begun, and obeyed."""

from collections.abc import Callable

from aiokafka import TopicPartition
from aiokafka.structs import ConsumerRecord

from headrace.dispatcher.kafka.follower import Follower
from headrace.dispatcher.operated import Operated
from headrace.schemas.settings import SETTINGS_PARTITION, Took
from headrace.telemetry.logs import Log


class SettingsReader:
    """Feeds one process's `Operated` through a follower that runs anyway."""

    def __init__(
        self,
        topic: str,
        follower: Follower,
        operated: Operated,
        *,
        now_ms: Callable[[], int],
        log: Log,
    ) -> None:
        """`now_ms`: broker time."""
        self._place = TopicPartition(topic, SETTINGS_PARTITION)
        self._follower = follower
        self._operated = operated
        self._now_ms = now_ms
        self._log = log
        self._caught_up = False

    async def catch_up(self) -> None:
        """Know all that is set; later settings are obeyed as they come.

        Raises `KafkaError`; may be called again.
        """
        self._caught_up = False
        first, end = (await self._follower.bounds([self._place]))[self._place]
        await self._follower.follow({self._place: (first, end, self._take)})
        self._caught_up = True
        self._operated.changed(self._now_ms())

    def _take(self, record: "ConsumerRecord[bytes, bytes]") -> None:
        took = self._operated.settings.take(record.key, record.value, record.timestamp)
        if took is Took.UNREADABLE:
            self._log.warning("setting_unreadable", topic=record.topic, offset=record.offset)
        elif took is Took.STALE and self._caught_up:
            self._log.info("setting_ignored", offset=record.offset, code=took.value)
        if took in (Took.COUNTS, Took.ENDED) and self._caught_up:
            self._log.info(
                "setting_changed", path=(record.key or b"").decode(errors="replace")[:200]
            )
            self._operated.changed(self._now_ms())
