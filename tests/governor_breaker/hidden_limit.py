"""An upstream with a limit that nobody told us, and more demand than it takes, in virtual time.

The ledger here is the simplest one that is right: a sliding window over what was sent, a guard wide. It
paces what it grants as the governor does, to a little above the limit's own rate.
"""

import heapq
import random
from collections import deque
from dataclasses import dataclass, field
from itertools import count

from headrace.dispatcher.governor.cooldown import Cooldown, CooldownPolicy, after_refusal, pace
from headrace.dispatcher.governor.learning import headers
from headrace.dispatcher.governor.learning.limit import (
    LearnedLimit,
    LearnPolicy,
    after_429,
    after_headers,
    in_force,
)

START_MS = 1_800_000_000_000
WINDOW_MS = 60_000
GUARD_MS = 500
TICK_MS = 100
PACING = 1.2


@dataclass
class Sliding:
    """What was sent within a window."""

    window_ms: int
    sent: deque[int] = field(default_factory=deque)

    def count(self, now_ms: int) -> int:
        """How many stand in the window."""
        while self.sent and self.sent[0] <= now_ms - self.window_ms:
            self.sent.popleft()
        return len(self.sent)


class HiddenLimit:
    """A run: `accepted` and `refused` hold times in ms."""

    def __init__(
        self,
        *,
        configured: int,
        hidden: int,
        seed: int,
        tells: str = "",
        learn: LearnPolicy | None = None,
        cool: CooldownPolicy | None = None,
    ) -> None:
        """`tells`: "retry" a Retry-After, "limit" its headers, nothing else."""
        self.hidden = hidden
        self.limit = LearnedLimit(float(configured))
        self.cooldown = Cooldown()
        self.accepted: list[int] = []
        self.refused: list[int] = []
        self._learn, self._cool = learn or LearnPolicy(), cool or CooldownPolicy()
        self._tells = tells
        self._dice = random.Random(seed)
        self._upstream, self._ledger = Sliding(WINDOW_MS), Sliding(WINDOW_MS + GUARD_MS)
        self._answers: list[tuple[int, int, int, bool, dict[str, str]]] = []
        self._number = count()
        self._credit = 0.0
        self.now_ms = START_MS

    def run(self, windows: float) -> "HiddenLimit":
        """Let that many windows pass."""
        until_ms = self.now_ms + round(windows * WINDOW_MS)
        while self.now_ms < until_ms:
            self.now_ms += TICK_MS
            while self._answers and self._answers[0][0] <= self.now_ms:
                self._hear(*heapq.heappop(self._answers)[2:])
            self._grant()
        return self

    def refused_by_window(self, after: int) -> list[int]:
        """429s in each whole window but the first ones."""
        windows = (self.now_ms - START_MS) // WINDOW_MS
        counts = [0] * windows
        for at_ms in self.refused:
            counts[min((at_ms - START_MS) // WINDOW_MS, windows - 1)] += 1
        return counts[after:]

    def used(self, after: int) -> float:
        """The share of the real limit that was used, but for the first windows."""
        from_ms = START_MS + after * WINDOW_MS
        taken = sum(at_ms >= from_ms for at_ms in self.accepted)
        return taken / (self.hidden * (self.now_ms - from_ms) / WINDOW_MS)

    def _grant(self) -> None:
        limit = in_force(self.limit, self.now_ms, self._learn)
        rate = PACING * limit / WINDOW_MS * pace(self.cooldown, self.now_ms, self._cool)
        self._credit = min(self._credit + rate * TICK_MS, 1.0 + rate * TICK_MS)
        while self._credit >= 1 and self._ledger.count(self.now_ms) + 1 <= limit:
            self._credit -= 1
            self._ledger.sent.append(self.now_ms)
            self._send(self.now_ms + self._dice.randint(1, 80))

    def _send(self, at_ms: int) -> None:
        free = self._upstream.count(at_ms) < self.hidden
        answer: dict[str, str] = {}
        if free:
            self._upstream.sent.append(at_ms)
            self.accepted.append(at_ms)
        else:
            self.refused.append(at_ms)
        if self._tells == "retry" and not free:
            answer["retry-after-ms"] = str(self._upstream.sent[0] + WINDOW_MS - at_ms)
        if self._tells == "limit":
            spent = self._upstream.count(at_ms)
            answer["x-ratelimit-limit-requests"] = str(self.hidden)
            answer["x-ratelimit-remaining-requests"] = str(self.hidden - spent)
            answer["x-ratelimit-reset-requests"] = f"{spent * WINDOW_MS / self.hidden / 1000:.3f}s"
        told_ms = at_ms + (round(self._dice.uniform(20, 200)) if not free else 2_000)
        heapq.heappush(self._answers, (told_ms, next(self._number), at_ms, free, answer))

    def _hear(self, sent_ms: int, free: bool, answer: dict[str, str]) -> None:
        told = headers.read(answer, self.now_ms)
        self.limit = after_headers(self.limit, told.limit(headers.Dimension.REQUESTS, WINDOW_MS))
        if free:
            return
        spent = sum(sent_ms - WINDOW_MS < at_ms <= sent_ms for at_ms in self.accepted[-10_000:])
        self.limit = after_429(
            self.limit, started_ms=sent_ms, spent=spent, now_ms=self.now_ms, policy=self._learn
        )
        self.cooldown = after_refusal(
            self.cooldown,
            started_ms=sent_ms,
            asked_ms=told.retry_ms,
            now_ms=self.now_ms,
            roll=self._dice.random(),
            policy=self._cool,
        )
