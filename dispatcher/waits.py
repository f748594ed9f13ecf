"""Requests that wait for a time in this process, within bounds. No I/O.

Two kinds: records of delay topics until the delay of their topic is over, and what waits for a short
time only (a retry, the rest of a longer wait), for which a delay topic would not be worth its write.
"""

from collections.abc import Callable
from typing import Final

from headrace.dispatcher.delays import Timers
from headrace.dispatcher.tenure import Tenure
from headrace.dispatcher.waiting import Waiting
from headrace.schemas.config.model import DispatcherConfig

LOOK_AGAIN_MS: Final = 100
"""How soon a request looks again for a deployment that has not asked to be left alone."""
DELAY_WINDOW: Final = 1_000
"""Offsets of one delay partition between its oldest unfinished one and its newest read one."""
DELAY_AHEAD: Final = 128
"""Records of one delay partition that wait in memory for their time: a fetch or two. There may be dozens
of such partitions, and a record takes 4 KB."""
DELAY_BYTES: Final = 4 * 1024 * 1024
"""Their bodies together: as many bytes as the largest record has."""

MOST_LEAVING: Final = 500
"""Requests that may be on their way to a delay topic before no more are read."""


class Waits:
    """All waits of one process."""

    def __init__(self, limits: DispatcherConfig) -> None:
        self._limits = limits
        self._short = Timers()
        self._maturing = Timers()
        self.leaving = 0
        """Requests on their way to a delay topic now."""
        self.closed = False
        """Whether nothing more may begin to wait here."""

    def __len__(self) -> int:
        return len(self._short) + len(self._maturing)

    @property
    def crowded(self) -> bool:
        """Whether so many leave for delay topics that nothing more should be read."""
        return self.leaving >= MOST_LEAVING

    def mature(self, waiting: Waiting, at_ms: int) -> None:
        """Hold a record of a delay topic until `at_ms`, when the topic's delay is over."""
        self._maturing.push(at_ms, waiting)

    def keep(self, waiting: Waiting, due_ms: int, now_ms: int) -> bool:
        """Hold a request until `due_ms`; False if that is too long or there are too many."""
        long_wait = due_ms - now_ms > self._limits.memory_retry_s * 1000
        if self.closed or long_wait or self._full:
            return False
        waiting.due_ms = due_ms
        self._short.push(due_ms, waiting)
        return True

    def look_again(self, waiting: Waiting, now_ms: int) -> bool:
        """No seat is free but where it may not go yet: that is no reason to hold up the others.

        False if there are too many: it goes on by a delay topic, at the due time that it has now.
        """
        waiting.due_ms = now_ms + LOOK_AGAIN_MS
        if self._full:
            return False
        self._short.push(waiting.due_ms, waiting)
        return True

    @property
    def _full(self) -> bool:
        """What comes from delay topics has bounds of its own, and takes no room from these."""
        short, limits = self._short, self._limits
        return len(short) >= limits.memory_retries or short.size >= limits.read_ahead_bytes

    def due(self, now_ms: int) -> list[Waiting]:
        """Take what need not wait here any longer; a long wait may have further parts."""
        return self._maturing.due(now_ms) + self._short.due(now_ms)

    def next_ms(self) -> int | None:
        """When the next one is due."""
        times = (self._short.next_ms(), self._maturing.next_ms())
        return min((at for at in times if at is not None), default=None)

    def quiet_s(self, now_ms: int, most_s: float) -> float:
        """How long nothing here needs to be looked at; at most `most_s`."""
        next_ms = self.next_ms()
        return most_s if next_ms is None else min(most_s, max(0.0, (next_ms - now_ms) / 1000))

    def take(self, condition: Callable[[Waiting], bool]) -> list[Waiting]:
        """Take out all that meet `condition`, due or not."""
        return self._short.take(condition) + self._maturing.take(condition)

    def room(self, tenure: Tenure) -> bool:
        """Whether more of this delay partition may be read."""
        return (
            tenure.tracker.span < DELAY_WINDOW
            and self._maturing.count_of(tenure) < DELAY_AHEAD
            and self._maturing.size_of(tenure) < DELAY_BYTES
        )
