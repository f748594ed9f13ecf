"""Counts of what the mock did, for `GET /mock/stats`."""

from collections import Counter

import msgspec


class Stats(msgspec.Struct):
    """Counts since the start or the last reset. `statuses` 0 counts calls without a head."""

    received: int = 0
    in_flight: int = 0
    peak_in_flight: int = 0
    statuses: Counter[int] = msgspec.field(default_factory=Counter)
    outcomes: Counter[str] = msgspec.field(default_factory=Counter)
    causes: Counter[str] = msgspec.field(default_factory=Counter)

    def begin(self) -> None:
        """Count a call that was received."""
        self.received += 1
        self.in_flight += 1
        self.peak_in_flight = max(self.peak_in_flight, self.in_flight)

    def end(self, status: int, outcome: str, cause: str) -> None:
        """Count a call that ended."""
        self.in_flight -= 1
        self.statuses[status] += 1
        self.outcomes[outcome] += 1
        if cause:
            self.causes[cause] += 1

    def clear(self) -> None:
        """Start at zero again; calls in flight stay counted."""
        self.received = 0
        self.peak_in_flight = self.in_flight
        for counts in (self.statuses, self.outcomes, self.causes):
            counts.clear()
