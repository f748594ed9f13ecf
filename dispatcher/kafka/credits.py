"""The governor's channel as a dispatcher sees it: reports out, grants in.

Only where a deployment has limits by the minute. Reports are cumulative: one that cannot be written is
dropped, since the next one tells all of it. While Kafka is away no grants come, and what is in hand lapses
by itself.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Final

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError
from aiokafka.structs import ConsumerRecord, RecordMetadata

from headrace.dispatcher.credits import Credits
from headrace.dispatcher.kafka.follower import EAGER, Follower
from headrace.dispatcher.kafka.outbox import Outbox, Undeliverable
from headrace.dispatcher.metrics import Metrics
from headrace.dispatcher.ports import Clock
from headrace.schemas.config.model import KafkaConfig
from headrace.schemas.limits import LIMIT_PARTITION, Report, Unreadable, decode_command, encode
from headrace.schemas.topics import Topics
from headrace.telemetry.logs import Log

BACK_MS: Final = 10_000
"""Grants are read from so long ago on: whoever owns the partition has written something since."""
MOST_UNACKED: Final = 4
"""Reports on their way to Kafka; beyond it they are dropped."""
PAUSE_S: Final = 0.5
END_S: Final = 2.0
"""How long the last report is waited for: without it the governor counts credits until they lapse."""


class CreditChannel:
    """One per process."""

    def __init__(
        self,
        kafka: KafkaConfig,
        in_hand: Credits,
        *,
        name: str,
        topics: Topics,
        outbox: Outbox,
        clock: Clock,
        woken: Callable[[], None],
        metrics: Metrics,
        log: Log,
    ) -> None:
        """`woken` is called when more may be spent than before."""
        self._credits = in_hand
        self._reports = topics.limit_reports
        self._grants = TopicPartition(topics.limit_grants, LIMIT_PARTITION)
        self._outbox = outbox
        self._clock = clock
        self._woken = woken
        self._metrics = metrics
        self._log = log
        # Eager: requests wait for what it reads.
        self._follower = Follower(kafka, f"{name}-credits", log, pace=EAGER)
        self._stirred = asyncio.Event()
        self._unacked: set[asyncio.Future[RecordMetadata]] = set()
        self._lapses = 0
        self._losing = False
        self._over = False
        in_hand.stirred = self._stirred.set

    async def start(self) -> None:
        """Connect. Raises `KafkaError`."""
        await self._follower.start()

    def works(self) -> tuple[Coroutine[None, None, None], ...]:
        """What runs from then on."""
        return self._follower.run(), self._listen(), self._tell()

    async def end(self) -> None:
        """Nothing runs any more: give back what is left, so that others need not wait until it lapses."""
        self._over = True
        await self._send(self._credits.last_report(self._mono_ms()))
        if self._unacked:
            await asyncio.wait(self._unacked, timeout=END_S)

    async def close(self) -> None:
        """Stop reading; may come twice."""
        await self._follower.close()

    async def _listen(self) -> None:
        """Begin to read the grants; `Follower.run` does the rest."""
        while True:
            try:
                times = {self._grants: self._clock.now_ms() - BACK_MS}
                starts = await self._follower.since(times)
            except KafkaError as error:
                self._log.warning("kafka_follow_failed", code=type(error).__name__)
                await asyncio.sleep(PAUSE_S)
            else:
                start = starts[self._grants]
                await self._follower.follow({self._grants: (start, start, self._take)})
                return

    async def _tell(self) -> None:
        """Report whenever it is time."""
        while not self._over:
            self._stirred.clear()
            now_ms = self._mono_ms()
            left_ms = self._credits.due_ms(now_ms) - now_ms
            if left_ms <= 0:
                await self._send(self._credits.report(now_ms))
                self._note_lapses()
            else:
                await self._stirred_within(left_ms / 1000)

    async def _stirred_within(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._stirred.wait()
        except TimeoutError:
            return  # a report is due

    async def _send(self, report: Report) -> None:
        if len(self._unacked) >= MOST_UNACKED:
            self._lost("unacknowledged")
            return
        try:
            ack = await self._outbox.post(self._reports, encode(report), partition=LIMIT_PARTITION)
        except (KafkaError, Undeliverable) as error:
            self._lost(type(error).__name__)
            return
        self._unacked.add(ack)
        ack.add_done_callback(self._acked)

    def _acked(self, ack: "asyncio.Future[RecordMetadata]") -> None:
        self._unacked.discard(ack)
        error = None if ack.cancelled() else ack.exception()
        if error is not None:
            self._lost(type(error).__name__)
        elif self._losing:
            self._losing = False
            self._log.info("limit_reports_resumed")

    def _lost(self, code: str) -> None:
        """Said once for each time in which reports do not arrive."""
        if not self._losing:
            self._losing = True
            self._log.warning("limit_report_lost", code=code)

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

    def _mono_ms(self) -> int:
        return int(self._clock.monotonic() * 1000)
