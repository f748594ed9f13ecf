"""When a breaker trips, how long it stays open, and how it comes back."""

from dataclasses import dataclass

FARTHEST_S = 300
"""How far back the rule for low traffic looks; no other looks so far."""


@dataclass(frozen=True, slots=True)
class BreakerPolicy:
    """The defaults suit calls of seconds at a few to some hundred a second."""

    window_s: int = 4
    least_calls: int = 10
    failing_share: float = 0.5
    stall_s: int = 30
    """A stream without a first byte for so long is a failure; its deployment's `first_byte_s`, if lower."""
    in_a_row: int = 5
    in_a_row_s: int = 2
    exhausted_in_a_row: int = 3
    slow_ms: int = 25_000
    """A first byte that comes later is slow; below the stall bound."""
    slow_share: float = 0.8
    slow_calls: int = 20
    others_share: float = 0.25
    """What must fail of the other tenants' calls before the worst one is believed."""
    tolerated_share: float = 0.2
    evidence: float = 16.0
    """How improbable a trip by A, B or C must be where `tolerated_share` fails anyway: p <= e^-evidence.
    The shares alone (0) are reached by chance: five of the first ten calls fail in 3 % of
    all cases. 16 asks for 10 failures of 10, 16 of 20 or 25 of 40, and of 72 or more for the share alone."""
    open_ms: int = 15_000
    longest_open_ms: int = 300_000
    jitter: float = 0.2
    probes: int = 3
    probe_ms: int = 60_000
    """As long as a first byte may take: a probe that tells nothing for so long has failed."""
    ramp: tuple[float, ...] = (0.10, 0.25, 0.50, 1.0)
    ramp_step_ms: int = 5_000
    forget_ms: int = 300_000
    """Closed for so long, the next trip counts as the first."""

    def __post_init__(self) -> None:
        """Refuse a breaker that could never trip, never close, or trips over nothing."""
        shares = (self.failing_share, self.slow_share, *self.ramp)
        if not all(0 < share <= 1 for share in shares) or list(self.ramp) != sorted(self.ramp):
            raise ValueError("shares are above 0 and at most 1, and a ramp only rises")
        if not 0 < self.tolerated_share < self.failing_share or self.evidence < 0:
            raise ValueError("what is tolerated lies between 0 and the failing share")
        if not 0 <= self.others_share <= 1 or not 0 <= self.jitter < 1:
            raise ValueError("others_share and jitter lie between 0 and 1")
        counts = (self.window_s, self.least_calls, self.in_a_row, self.exhausted_in_a_row)
        times = (self.open_ms, self.probe_ms, self.ramp_step_ms, self.slow_calls)
        if min(*counts, *times, self.probes) < 1 or self.in_a_row_s < 0 or self.forget_ms < 0:
            raise ValueError("windows, counts and times are at least 1")
        if not self.open_ms <= self.longest_open_ms:
            raise ValueError("open_ms is above longest_open_ms")
        if not self.slow_ms < self.stall_s * 1000 or self.keep_s > FARTHEST_S:
            raise ValueError("slow_ms is below the stall bound, and that within what is kept")

    @property
    def keep_s(self) -> int:
        """How old a call may be when its end still counts for the second of its start."""
        return self.stall_s + self.window_s + 1

    def open_for_ms(self, trips: int, roll: float) -> int:
        """How long the `trips`-th trip in a row opens it; `roll` in [0, 1)."""
        base = min(self.open_ms << min(max(trips, 1) - 1, 20), self.longest_open_ms)
        spread = base * (1 - self.jitter + 2 * self.jitter * roll)
        return min(round(spread), self.longest_open_ms)
