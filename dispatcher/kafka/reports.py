"""Writes the reports of one process to the governor.

Reports are cumulative: one that cannot be written is dropped, since the next one tells all of it.
The last one is sent in any case.
"""

import asyncio
from collections.abc import Coroutine
from typing import Final

from aiokafka.errors import KafkaError
from aiokafka.structs import RecordMetadata

from headrace.dispatcher.governor.holder import URGENT_MS
from headrace.dispatcher.kafka.outbox import Outbox, Undeliverable
from headrace.dispatcher.ports import Clock
from headrace.dispatcher.reports import Reports
from headrace.schemas.limits import LIMIT_PARTITION, Report, encode
from headrace.schemas.topics import Topics
from headrace.telemetry.logs import Log

MOST_UNACKED: Final = 4
"""Reports on their way to Kafka; beyond it they are dropped."""
APART_S: Final = URGENT_MS / 1000
"""Between two reports at least, whatever happens meanwhile."""
LOOK_S: Final = 0.005
"""Between two looks at whether one is due: many calls begin and end in it."""
END_S: Final = 2.0
"""How long the last report is waited for: without it the governor counts credits until they lapse."""


class ReportChannel:
    """One per process."""

    def __init__(
        self, reports: Reports, *, topics: Topics, outbox: Outbox, clock: Clock, log: Log
    ) -> None:
        self._reports = reports
        self._topic = topics.limit_reports
        self._outbox = outbox
        self._clock = clock
        self._log = log
        self._stirred = asyncio.Event()
        self._unacked: set[asyncio.Future[RecordMetadata]] = set()
        self._losing = False
        self._over = False
        reports.when_stirred(self._stirred.set)

    def works(self) -> tuple[Coroutine[None, None, None], ...]:
        """What runs from the connection to the end."""
        return (self._tell(),)

    async def end(self) -> None:
        """Nothing runs any more: give back what is left, so that others need not wait until it lapses.

        Sent however many are unacknowledged: no later report tells all of it.
        """
        self._over = True
        last = self._reports.last_report(self._mono_ms(), self._clock.now_ms())
        try:
            async with asyncio.timeout(END_S):
                await self._post(last)
                if self._unacked:
                    await asyncio.wait(self._unacked)
        except TimeoutError:
            self._lost("unacknowledged")

    async def _tell(self) -> None:
        """Report whenever it is time."""
        while not self._over:
            self._stirred.clear()
            mono_ms, now_ms = self._mono_ms(), self._clock.now_ms()
            left_ms = self._reports.left_ms(mono_ms, now_ms)
            if left_ms > 0:
                await asyncio.sleep(min(LOOK_S, left_ms / 1000))
                await self._stirred_within(left_ms / 1000 - LOOK_S)
                continue
            report = self._reports.report(mono_ms, now_ms)
            if report is not None:
                await self._send(report)
            await asyncio.sleep(APART_S)

    async def _stirred_within(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._stirred.wait()
        except TimeoutError:
            return  # a report may be due

    async def _send(self, report: Report) -> None:
        if len(self._unacked) >= MOST_UNACKED:
            self._lost("unacknowledged")
        else:
            await self._post(report)

    async def _post(self, report: Report) -> None:
        try:
            ack = await self._outbox.post(self._topic, encode(report), partition=LIMIT_PARTITION)
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

    def _mono_ms(self) -> int:
        return int(self._clock.monotonic() * 1000)
