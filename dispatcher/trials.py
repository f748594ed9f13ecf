"""Suspects take turns: whoever was in hand when a process died may have killed it. No I/O.

How it works. A crash leaves many suspects and at most one culprit. Each process therefore lets one
suspect begin at a time, and the next one when that has ended or its probation is over: what kills mostly
kills soon. The more suspects there are, the shorter it is, so that all have begun after `ALL_S`: innocent
ones wait for it. Until then the suspect is *on trial*, which the journal knows before its call begins: if
the process dies now, that one is convicted, and no other of those that run. One that runs beside no other
suspect stays on trial to its end. All that were in hand at two crashes run strictly alone, to their end.

So the second crash convicts what kills within its probation, or alone; what kills later than that is
convicted by the third one. Innocent ones fall to it only where their process ends for another reason
twice, the second time during their trial. Requests that are no suspects run beside them all the time.
"""

from collections import deque
from dataclasses import dataclass

from headrace.dispatcher.waiting import Waiting

PROBATION_S = 2.0
"""The longest probation."""
ALL_S = 6.0
LEAST_S = 0.01
"""How long a suspect is at least left alone: one that may not begin yet keeps nobody busy."""
STRICT_FROM = 2
"""Crashes after which a suspect runs to its end before another begins."""


@dataclass(frozen=True, slots=True)
class Turn:
    """Whose trials end, and who begins after that."""

    over: tuple[Waiting, ...]
    suspect: Waiting | None


class Trials:
    """The suspects of one process."""

    def __init__(self) -> None:
        self._queue: deque[tuple[int, Waiting]] = deque()
        self._begun: list[tuple[int, Waiting]] = []
        self._last_s = float("-inf")
        self._most = 0
        """How many waited at a time, since the last time nobody did."""

    def add(self, suspect: Waiting, crashes: int) -> None:
        """A suspect waits for its turn; those with few crashes, most of them innocent, go first."""
        if crashes >= STRICT_FROM:
            self._queue.append((crashes, suspect))
        else:
            self._queue.appendleft((crashes, suspect))
        self._most = max(self._most, len(self._queue))

    def suspend(self) -> tuple[Waiting, ...]:
        """End the trials that run."""
        over = tuple(w for _, w in self._begun if w.on_trial)
        for waiting in over:
            waiting.on_trial = False
        return over

    def turn(self, now_s: float) -> Turn | None:
        """What is to be done now; call again until there is nothing."""
        self._begun = [(n, w) for n, w in self._begun if w.offset in w.tenure.running]
        while self._queue and not self._queue[0][1].ours:
            self._queue.popleft()
        if self._begun and (self._is_strict() or now_s < self._over_s()):
            return None
        if not self._queue:
            self._most = 0
            over = self.suspend() if len(self._begun) > 1 else ()
            return Turn(over, None) if over else None
        over = self.suspend()
        crashes, suspect = self._queue.popleft()
        suspect.on_trial = True
        self._begun.append((crashes, suspect))
        self._last_s = now_s
        return Turn(over, suspect)

    def quiet_s(self, now_s: float, most_s: float) -> float:
        """How long `turn` has nothing to say, as long as no suspect ends; at most `most_s`."""
        if not self._queue or not self._begun or self._is_strict():
            return most_s
        return min(most_s, max(LEAST_S, self._over_s() - now_s))

    def _over_s(self) -> float:
        """When the last one that began is on probation no more."""
        return self._last_s + min(PROBATION_S, ALL_S / max(1, self._most))

    def _is_strict(self) -> bool:
        """Whether what runs or comes next must be alone."""
        most = max(crashes for crashes, _ in self._begun)
        following = self._queue[0][0] if self._queue else 0
        return max(most, following) >= STRICT_FROM
