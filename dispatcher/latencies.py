"""How long an upstream's answers take, whatever their length. No I/O; times are monotonic milliseconds.

A stream tells by its first event. A plain answer comes as a whole: its time is divided by its tokens, and
what comes before the first one counts as some more of them. Answers that went wrong or were cut tell
nothing, but for streams that did not begin in time.
"""

from math import inf
from typing import Final

from headrace.dispatcher.ports import Break, CallEnd
from headrace.dispatcher.usage import used_by
from headrace.schemas.tellings import Answered, Kind

BEFORE_FIRST: Final = 16
"""A first token takes about as long as so many others."""
LOOK_MS: Final = 250
"""Between two plain answers that are looked into."""
LEAST_MS: Final = 1_000
"""The least latency is of this time and of the same time before it."""


class _Sums:
    """Of one kind."""

    __slots__ = ("before_ms", "calls", "least_ms", "since_ms", "total_ms")

    def __init__(self) -> None:
        self.calls = 0
        self.total_ms = 0.0
        self.least_ms = self.before_ms = inf
        self.since_ms = 0

    def add(self, latency_ms: float, mono_ms: int) -> None:
        if mono_ms - self.since_ms >= LEAST_MS:
            fresh = mono_ms - self.since_ms < 2 * LEAST_MS
            self.before_ms = self.least_ms if fresh else inf
            self.since_ms, self.least_ms = mono_ms, inf
        self.least_ms = min(self.least_ms, latency_ms)
        self.calls += 1
        self.total_ms += latency_ms


class Latencies:
    """Of one deployment, since the process started."""

    __slots__ = ("_look_ms", "_sums", "ended_ms")

    def __init__(self) -> None:
        self._sums: dict[Kind, _Sums] = {}
        self._look_ms = 0
        self.ended_ms = -LEAST_MS
        """When the last answer came that told anything."""

    def ended(self, end: CallEnd, took_ms: int, mono_ms: int) -> None:
        """A call ended so, after `took_ms`."""
        whole = end.broken is None and 200 <= end.status < 300
        if end.first_s is not None:
            if whole or end.forwarded or end.broken is Break.FIRST_BYTE_TIMEOUT:
                self._add(Kind.FIRST_BYTE, end.first_s * 1000, mono_ms)
        elif whole and mono_ms >= self._look_ms:
            self._look_ms = mono_ms + LOOK_MS
            used = used_by(end)
            tokens = BEFORE_FIRST + (0 if used is None else max(0, used.output))
            self._add(Kind.ANSWER, took_ms / tokens, mono_ms)

    def told(self) -> list[Answered]:
        """All of it."""
        return [
            Answered(
                kind,
                sums.calls,
                round(sums.total_ms, 3),
                round(min(sums.least_ms, sums.before_ms), 3),
            )
            for kind, sums in self._sums.items()
        ]

    def _add(self, kind: Kind, latency_ms: float, mono_ms: int) -> None:
        sums = self._sums.get(kind)
        if sums is None:
            sums = self._sums[kind] = _Sums()
        sums.add(latency_ms, mono_ms)
        self.ended_ms = mono_ms
