"""How long to wait between attempts. `roll` is a number in [0, 1): the shell's dice.

Full jitter for failures (Amazon's "Exponential Backoff And Jitter": least work for the upstream at
the same completion time); equal jitter for throttling, where no wait only earns the next 429.
"""

from typing import Final

TRANSIENT_FIRST_MS: Final = 500
TRANSIENT_LONGEST_MS: Final = 20_000
THROTTLE_FIRST_MS: Final = 1_000
THROTTLE_LONGEST_MS: Final = 120_000


def transient_ms(failures: int, roll: float) -> int:
    """Anywhere from 0 to 0.5 s doubled with each failure after the first, at most 20 s."""
    return int(roll * _doubled(TRANSIENT_FIRST_MS, failures, TRANSIENT_LONGEST_MS))


def throttle_ms(throttled: int, roll: float, asked_ms: int | None) -> int:
    """What the upstream asked for, or the upper half of 1 s doubled each time, at most 120 s."""
    half = _doubled(THROTTLE_FIRST_MS, throttled, THROTTLE_LONGEST_MS) / 2
    return max(asked_ms or 0, int(half + roll * half))


def _doubled(first_ms: int, times: int, longest_ms: int) -> int:
    return int(min(longest_ms, first_ms << min(max(times, 1) - 1, 20)))
