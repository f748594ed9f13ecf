"""Suspects take turns: whoever was in hand when a process died may have killed it. No I/O.

How it works. A crash leaves many suspects and at most one culprit. Each process therefore begins with
one suspect at a time, and waits for its end or for `PROBATION_S`, since what kills mostly kills soon. A
suspect that runs while no other does is *on trial*, which the journal knows before its call begins: if
the process dies now, that one is convicted, and no other. When a second suspect begins beside it, the
trial is over first, and a crash then convicts nobody; but all that were in hand have two crashes now,
and such ones run strictly alone, to their end. So the second crash convicts a record that kills within
its probation, the third one any other, and an innocent one only if something else ends its process
twice, the second time during its trial. Requests that are no suspects run beside them all the time.
"""

from collections import deque
from dataclasses import dataclass

from headrace.dispatcher.waiting import Waiting

PROBATION_S = 1.0
STRICT_FROM = 2
"""Crashes after which a suspect runs to its end before another begins."""


@dataclass(frozen=True, slots=True)
class Turn:
    """Who begins now, and whose trial ends before that."""

    suspect: Waiting
    over: tuple[Waiting, ...]


class Trials:
    """The suspects of one process."""

    def __init__(self) -> None:
        self._queue: deque[tuple[int, Waiting]] = deque()
        self._begun: list[tuple[int, Waiting]] = []
        self._last_s = float("-inf")

    def __len__(self) -> int:
        return len(self._queue)

    def add(self, suspect: Waiting, crashes: int) -> None:
        """A suspect waits for its turn; those with few crashes, most of them innocent, go first."""
        if crashes >= STRICT_FROM:
            self._queue.append((crashes, suspect))
        else:
            self._queue.appendleft((crashes, suspect))

    def suspend(self) -> list[Waiting]:
        """End the trials that run, since something else is suspected now."""
        over = [w for _, w in self._begun if w.on_trial]
        for waiting in over:
            waiting.on_trial = False
        return over

    def turn(self, now_s: float) -> Turn | None:
        """The next suspect whose turn has come, if any; call again until there is none."""
        self._queue = deque((n, w) for n, w in self._queue if w.ours)
        if not self._queue:
            return None
        self._begun = [(n, w) for n, w in self._begun if w.offset in w.tenure.running]
        crashes, suspect = self._queue[0]
        if self._begun:
            strict = max(crashes, *(n for n, _ in self._begun)) >= STRICT_FROM
            if strict or now_s - self._last_s < PROBATION_S:
                return None
        self._queue.popleft()
        over = tuple(self.suspend())
        suspect.on_trial = not self._begun
        self._begun.append((crashes, suspect))
        self._last_s = now_s
        return Turn(suspect, over)
