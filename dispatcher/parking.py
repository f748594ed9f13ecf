"""Parked, not waited for: a slow call goes on, and its partition too.

How it works. A copy of the record goes to a delay topic, due when the call must have ended, and the
offset is done. When the call ends, its process says so with marks in the delay topics, and the copy is
dropped at its time. Without a mark: if the process of the call still beats, the copy waits on; if not,
the call is ambiguous, and the copy takes its place (`recovery`). So that process remembers nothing that
its death could make forgotten.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from headrace.dispatcher.delays import tier_for
from headrace.dispatcher.kafka.journals import JournalWriter
from headrace.dispatcher.kafka.outbox import Undeliverable
from headrace.dispatcher.metrics import Metrics
from headrace.dispatcher.settle import Settlement
from headrace.dispatcher.waiting import Waiting
from headrace.dispatcher.waits import DELAY_WINDOW
from headrace.schemas.retries import retry_headers
from headrace.schemas.topics import Topics

FULL = 0.9
"""Part of the window at which its head is parked, however young."""
YOUNG_S = 1.0
"""Younger calls are never parked: they end sooner than a copy is written and dropped."""
MARGIN_MS = 10_000
"""How long after its time-out a call's outcome may take to be written; how long a copy then waits on."""


@dataclass(frozen=True, slots=True)
class ParkingPolicy:
    """When a call is too slow for its partition."""

    after_s: float
    behind: int
    """Offsets done behind the first that is not, from which on its call is not waited for."""

    window: int
    """Offsets that may be open in a lane partition."""
    longest_call_ms: int
    """No call takes longer."""

    def due(self, waiting: Waiting, now_s: float) -> bool:
        """Whether the running call of `waiting` is to be parked."""
        age_s = now_s - waiting.began_s
        if waiting.copied or age_s < YOUNG_S or waiting.tenure.forsaken:
            return False
        window = DELAY_WINDOW if waiting.tenure.delay_ms else self.window
        tracker, slow = waiting.tenure.tracker, age_s >= self.after_s
        if not waiting.tenure.owned:
            return slow  # another owner waits for it
        if tracker.span > FULL * window and (slow or waiting.offset == tracker.watermark):
            return True
        return slow and tracker.done_ahead >= self.behind


class Parking:
    """Parks calls. One per process."""

    def __init__(
        self,
        policy: ParkingPolicy,
        *,
        topics: Topics,
        settlement: Settlement,
        journals: JournalWriter,
        metrics: Metrics,
    ) -> None:
        self._policy = policy
        self._topics = topics
        self._settlement = settlement
        self._journals = journals
        self._metrics = metrics

    def due(self, running: Iterable[Waiting], now_s: float) -> list[Waiting]:
        """Which of the running calls are to be parked."""
        return [waiting for waiting in running if self._policy.due(waiting, now_s)]

    async def park(self, waiting: Waiting, now_ms: int) -> None:
        """Copy a request whose call is slow, and let its partition go on."""
        waiting.copied = True
        if not await self._journals.confirmed(waiting.tenure):
            waiting.copied = False
            return
        due_ms = min(now_ms + self._policy.longest_call_ms, waiting.deadline_ms) + MARGIN_MS
        origin = waiting.origin.encode()
        headers = retry_headers(
            waiting.headers,
            waiting.source,
            attempt=waiting.attempt,
            due_ms=due_ms,
            history=waiting.history,
            handed_on_from=origin,
            parked_from=origin,
        )
        topic = self._topics.delay(waiting.lane, tier_for(due_ms - now_ms))
        try:
            await self._settlement.keep(topic, waiting.record.body, waiting.id, headers)
        except Undeliverable:
            waiting.copied = False
            return
        if waiting.offset not in waiting.tenure.running:
            return  # it has ended meanwhile, and the marks are told
        self._metrics.parked.inc()
        self._journals.parked(waiting.tenure, waiting.offset)
