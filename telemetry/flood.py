"""How many lines of one kind may be written: an outage must not drown the log that tells of it. No clock."""

from typing import Final

LINES_PER_S: Final = 10.0
BURST_LINES: Final = 100.0
"""After a quiet time so many may be written at once."""


class Allowance:
    """A bucket of lines; those that find none are left out and counted."""

    __slots__ = ("_at_s", "_left_out", "_lines")

    def __init__(self) -> None:
        self._lines = BURST_LINES
        self._at_s = 0.0
        self._left_out = 0

    def take(self, now_s: float) -> int | None:
        """How many were left out since the last line, if one may be written now; None: leave it out, too."""
        self._lines = min(BURST_LINES, self._lines + (now_s - self._at_s) * LINES_PER_S)
        self._at_s = now_s
        if self._lines < 1:
            self._left_out += 1
            return None
        self._lines -= 1
        left_out, self._left_out = self._left_out, 0
        return left_out
