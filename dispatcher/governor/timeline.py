"""The log's time as an owner counts it, so that a broker whose clock is set changes nothing.

How it works. The log's time and the owner's own clock run equally fast. Where the log's time has leapt
against the own clock, forward or back, the difference is taken off from then on, of the time and of the
stamps of what is read. Whatever was sent before stays charged for as long as it should. No I/O.
"""

from typing import Final

LEAP_MS: Final = 1_000
"""What the two may differ by from one look to the next: the log's time is an estimate."""


class Timeline:
    """Begins with the first look at the clocks; until then stamps are what they are."""

    def __init__(self) -> None:
        """Nothing was looked at."""
        self.leaps = 0
        self._shift_ms = 0
        self._floor_ms = 0
        self._looked: tuple[int, int] | None = None

    def now_ms(self, log_ms: int, mono_ms: int, known_ms: int) -> int:
        """The time, by the log's clock and the own one; the records that were read go up to `known_ms`."""
        now_ms = log_ms + self._shift_ms
        if self._looked is None:
            expected_ms = max(now_ms, known_ms)
        else:
            told_ms, at_ms = self._looked
            expected_ms = told_ms + mono_ms - at_ms
        if abs(now_ms - expected_ms) > LEAP_MS:
            self.leaps += 1
            self._shift_ms += expected_ms - now_ms
            self._floor_ms = now_ms = expected_ms
        self._looked = (now_ms, mono_ms)
        return now_ms

    def stamp_ms(self, stamp_ms: int) -> int:
        """The stamp of a record that is read right after a look.

        One that is not near the present was written before the clock was set, or it is not known yet that
        it was: what it tells of was sent now at the latest.
        """
        if self._looked is None:
            return stamp_ms
        now_ms, stamp_ms = self._looked[0], stamp_ms + self._shift_ms
        if abs(stamp_ms - now_ms) > LEAP_MS:
            stamp_ms = now_ms + LEAP_MS
        return max(stamp_ms, self._floor_ms)
