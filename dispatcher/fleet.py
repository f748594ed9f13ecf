"""Who lives: beats on the `fleet` topic, judged by the topic's own order and timestamps.

No I/O and no clock of this host in the judgement: a process is dead when the log went on for
`DEAD_AFTER_MS` without a beat of it. A reader that is cut off from Kafka therefore declares nobody
dead. A gap in which nobody could beat (a stopped broker, or one with another clock took over) counts
as `GAP_MS`, so the first who beats again does not outlive the others. A process that has not been
heard of yet lives until the log has gone on without it. A process fences itself with its monotonic
clock: it starts no call when the last beat of its own that it read back was sent more than `FENCE_S`
ago, which is sooner than others count it dead.
"""

from headrace.schemas.journal import Beat, ProcessId

BEAT_S = 1.0
FENCE_S = 3.0
DEAD_AFTER_MS = 5_000
GAP_MS = 2_000
FORGET_AFTER_MS = 600_000


class Fleet:
    """Beats seen so far, and this process's own standing."""

    def __init__(self, own: ProcessId) -> None:
        self.own = own
        self.log_time_ms = 0
        """How far the log has gone on, gaps shortened."""
        self._newest_ms = 0
        self._last_ms: dict[ProcessId, int] = {}
        self.living = 1
        """How many processes live, this one included, as of its own last beat."""
        self._own_sent_s = float("-inf")
        self.lapses = 0
        """How often more than `FENCE_S` lay between two beats of its own: others may have taken over."""

    def beat(self, beat: Beat, timestamp_ms: int) -> None:
        """The next record of the topic; `timestamp_ms` is its append time."""
        self.log_time_ms += min(max(0, timestamp_ms - self._newest_ms), GAP_MS)
        self._newest_ms = max(self._newest_ms, timestamp_ms)
        self._last_ms[beat.process] = self.log_time_ms
        if beat.process == self.own:
            known = self._own_sent_s > float("-inf")
            self.lapses += known and beat.sent_ms / 1000 - self._own_sent_s > FENCE_S
            self._own_sent_s = max(self._own_sent_s, beat.sent_ms / 1000)
            self._forget()
            self.living = sum(map(self.alive, list(self._last_ms)))

    def alive(self, process: ProcessId) -> bool:
        """Whether calls of `process` may still be running."""
        last_ms = self._last_ms.setdefault(process, self.log_time_ms)
        return self.log_time_ms - last_ms <= DEAD_AFTER_MS

    def fenced(self, now_s: float) -> bool:
        """Whether this process must start nothing: others may be about to count it dead."""
        return now_s - self._own_sent_s > FENCE_S

    def _forget(self) -> None:
        old = [p for p, at in self._last_ms.items() if self.log_time_ms - at > FORGET_AFTER_MS]
        for process in old:
            del self._last_ms[process]
