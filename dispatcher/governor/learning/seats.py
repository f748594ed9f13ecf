"""How many calls an upstream takes at once, learned from latency: for those that never say 429.

How it works. The least latency seen is what a call takes when nobody queues. While the average stays
within `tolerance` of it, seats are added, about the square root of their number; above, their number
shrinks by the same ratio (a gradient, as in Netflix's concurrency-limits). Seats that nobody used prove
nothing and are not added to. An overload or a time-out cuts at once, once for all that were in flight.

A minimum must not age: an upstream that is always loaded would show queueing as its normal state. So
from time to time half of the seats are given up for a moment, and the minimum is measured again.

Latency is of a kind that does not depend on the answer's length: to the first byte, or per token.
"""

import math
from dataclasses import dataclass

import msgspec


@dataclass(frozen=True, slots=True)
class SeatsPolicy:
    """Bounds, and how eagerly the number moves."""

    first: int = 8
    least: int = 1
    most: int = 1_024
    tolerance: float = 1.5
    smoothing: float = 0.2
    cut: float = 0.7
    sample_ms: int = 1_000
    samples: int = 10
    measure_ms: int = 300_000
    """How long a minimum is believed."""
    shadow: bool = False
    """Learn and show, but hold nobody to it."""

    def __post_init__(self) -> None:
        """Refuse bounds without room, and steps that lead nowhere."""
        if not 1 <= self.least <= self.first <= self.most or self.tolerance < 1:
            raise ValueError("1 <= least <= first <= most, and a tolerance of at least 1")
        if not 0 < self.smoothing <= 1 or not 0 < self.cut < 1:
            raise ValueError("smoothing and cut lie between 0 and 1")
        if min(self.sample_ms, self.samples) < 1 or self.measure_ms <= self.sample_ms:
            raise ValueError("samples take time, and a minimum outlasts them")


class LearnedSeats(msgspec.Struct, frozen=True):
    """What is known of one deployment; `begin` makes the first one."""

    seats: float
    sampled_from_ms: int
    measured_at_ms: int
    least_ms: float = math.inf
    total_ms: float = 0.0
    calls: int = 0
    busiest: int = 0
    """Calls in flight at most, of this sample."""
    cut_at_ms: int = 0


def begin(now_ms: int, policy: SeatsPolicy) -> LearnedSeats:
    """Nothing is known."""
    return LearnedSeats(float(policy.first), now_ms, now_ms)


def allowed(known: LearnedSeats, now_ms: int, policy: SeatsPolicy) -> int:
    """The seats there are at `now_ms`; half of them while the minimum is measured. Shadow: the most."""
    if policy.shadow:
        return policy.most
    seats = known.seats / 2 if _measuring(known, now_ms, policy) else known.seats
    return max(policy.least, int(seats))


def after_answer(
    known: LearnedSeats, *, latency_ms: float, in_use: int, now_ms: int, policy: SeatsPolicy
) -> LearnedSeats:
    """A good answer came while `in_use` calls were in flight."""
    if now_ms - known.measured_at_ms >= policy.measure_ms:
        known = msgspec.structs.replace(known, measured_at_ms=now_ms, least_ms=math.inf)
    sampled = msgspec.structs.replace(
        known,
        least_ms=min(known.least_ms, latency_ms),
        total_ms=known.total_ms + latency_ms,
        calls=known.calls + 1,
        busiest=max(known.busiest, in_use),
    )
    whole = now_ms - known.sampled_from_ms >= policy.sample_ms and sampled.calls >= policy.samples
    return _moved(sampled, now_ms, policy) if whole else sampled


def after_overload(
    known: LearnedSeats, *, started_ms: int, now_ms: int, policy: SeatsPolicy
) -> LearnedSeats:
    """A call that was started at `started_ms` met an overload, or got no answer in time."""
    if started_ms <= known.cut_at_ms:
        return known
    seats = max(float(policy.least), known.seats * policy.cut)
    return msgspec.structs.replace(known, seats=seats, cut_at_ms=now_ms)


def _moved(known: LearnedSeats, now_ms: int, policy: SeatsPolicy) -> LearnedSeats:
    seats = known.seats
    if not _measuring(known, now_ms, policy):
        average_ms = max(known.total_ms / known.calls, 1e-9)
        gradient = max(0.5, min(1.0, policy.tolerance * known.least_ms / average_ms))
        wanted = seats * gradient + math.sqrt(seats)
        moved = seats + policy.smoothing * (wanted - seats)
        used = known.busiest >= seats / 2
        seats = max(
            float(policy.least), min(float(policy.most), moved if used else min(moved, seats))
        )
    return msgspec.structs.replace(
        known, seats=seats, sampled_from_ms=now_ms, total_ms=0.0, calls=0, busiest=0
    )


def _measuring(known: LearnedSeats, now_ms: int, policy: SeatsPolicy) -> bool:
    """The first two samples of a measurement: one until the others have left, one that counts."""
    return now_ms - known.measured_at_ms < 2 * policy.sample_ms
