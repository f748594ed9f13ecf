"""The rows of the breakers as a dispatcher follows them."""

from collections.abc import Callable
from typing import Final

from aiokafka import TopicPartition
from aiokafka.structs import ConsumerRecord

from headrace.dispatcher.breakers.board import Breakers
from headrace.dispatcher.kafka.follower import Follower
from headrace.dispatcher.ports import Clock
from headrace.schemas.breakers import Row, decode
from headrace.schemas.names import DeploymentName
from headrace.schemas.topics import Topics
from headrace.telemetry.logs import Log

PARTITION: Final = 0
"""The only one."""


class BreakerRows:
    """One per process."""

    def __init__(
        self,
        topics: Topics,
        breakers: Breakers,
        follower: Follower,
        *,
        clock: Clock,
        woken: Callable[[], None],
        log: Log,
    ) -> None:
        """`woken` is called when something else may be called than before."""
        self._place = TopicPartition(topics.breakers, PARTITION)
        self._breakers = breakers
        self._follower = follower
        self._clock = clock
        self._woken = woken
        self._log = log
        self._rows: dict[DeploymentName, Row] = {}
        """Those that count, of this configuration's deployments."""

    async def catch_up(self) -> None:
        """Read all that stands there, and follow. Raises `KafkaError`; may be called again."""
        first, end = (await self._follower.bounds([self._place]))[self._place]
        await self._follower.follow({self._place: (first, end, self._take)})

    def _take(self, record: "ConsumerRecord[bytes, bytes]") -> None:
        """The next record; of several owners' the highest epoch counts, in whatever order they come."""
        if record.value is None:
            return
        row = decode(record.value)
        if row is None:
            self._log.warning("breaker_record_unreadable", offset=record.offset)
        elif isinstance(row, Row):
            self._obey(row)

    def _obey(self, row: Row) -> None:
        known, now_ms = self._rows.get(row.deployment), self._clock.now_ms()
        if known is not None and row.epoch < known.epoch:
            return
        if not self._breakers.obey(row, now_ms):
            return
        self._rows[row.deployment] = row
        self._woken()
        if known is not None and known.state is not row.state:
            self._log.info(
                "breaker_followed",
                deployment=row.deployment,
                state=row.state.value,
                epoch=row.epoch,
                dur_ms=now_ms - row.since_ms,
            )
