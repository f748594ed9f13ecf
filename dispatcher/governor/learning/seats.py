"""How many calls an upstream takes at once, learned from latency: for those that never say 429.

How it works. The least latency seen is what a call takes when nobody queues. While the average stays
within `tolerance` of it, seats are added, about the square root of their number; above, their number
shrinks by the same ratio (a gradient, as in Netflix's concurrency-limits). Seats that nobody used prove
nothing and are not added to. An overload cuts at once, once for all that were in flight.

A minimum must not age: an upstream that is always loaded would show queueing as its normal state. So
from time to time most of the seats are given up until a whole sample was taken with no more in use, which is
the minimum from then on. Where calls are too long for that the old one is kept. One that is much higher than
before was perhaps taken while there were still too many: it is measured again soon.

Latencies are of kinds that do not depend on the answer's length, each with a minimum of its own.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

import msgspec

from headrace.schemas.tellings import Kind

FIRST: Final = 8
"""Seats before anything is known."""


@dataclass(frozen=True, slots=True)
class SeatsPolicy:
    """Bounds, and how eagerly the number moves."""

    first: int = FIRST
    least: int = 1
    most: int = 1_024
    tolerance: float = 1.5
    smoothing: float = 0.2
    cut: float = 0.7
    sample_ms: int = 1_000
    samples: int = 10
    measure_ms: int = 300_000
    """How long a minimum is believed."""
    part: float = 0.25
    """Of the seats that may be in use when it is measured. At half, few seats would creep up each time."""
    patience_ms: int = 30_000
    """How long seats are given up for to measure it again."""
    shadow: bool = False
    """Learn and show, but hold nobody to it."""

    def __post_init__(self) -> None:
        """Refuse bounds without room, and steps that lead nowhere."""
        if not 1 <= self.least <= self.first <= self.most or self.tolerance < 1:
            raise ValueError("1 <= least <= first <= most, and a tolerance of at least 1")
        if (
            not 0 < self.smoothing <= 1
            or not 0 < min(self.cut, self.part) <= max(self.cut, self.part) < 1
        ):
            raise ValueError("smoothing, cut and part lie between 0 and 1")
        if min(self.sample_ms, self.samples, self.patience_ms) < 1:
            raise ValueError("samples take time and calls, and patience too")
        if self.measure_ms <= self.sample_ms:
            raise ValueError("a minimum outlasts the samples")


class Latencies(NamedTuple):
    """Of some answers of one kind."""

    calls: int
    total_ms: float
    least_ms: float


class Sampled(msgspec.Struct, frozen=True):
    """What is known of one kind."""

    least_ms: float = math.inf
    """What a call takes when nobody queues."""
    lowest_ms: float = math.inf
    """Of this sample."""
    total_ms: float = 0.0
    calls: int = 0


class LearnedSeats(msgspec.Struct, frozen=True):
    """What is known of one deployment; `begin` makes the first one."""

    seats: float
    sampled_from_ms: int
    measured_at_ms: int
    kinds: Mapping[Kind, Sampled] = {}
    busiest: int = 0
    """Calls in flight at most, of this sample."""
    cut_at_ms: int = 0


def begin(now_ms: int, policy: SeatsPolicy) -> LearnedSeats:
    """Nothing is known: the minimum is measured first."""
    return LearnedSeats(float(policy.first), now_ms, now_ms - policy.measure_ms)


def allowed(known: LearnedSeats, now_ms: int, policy: SeatsPolicy) -> int:
    """The seats that the upstream takes at `now_ms`; a part of them while the minimum is measured."""
    measuring = 0 <= _overdue_ms(known, now_ms, policy) < policy.patience_ms
    seats = _bounded(known.seats, policy)
    return max(policy.least, int(seats * policy.part if measuring else seats))


def after_answers(
    known: LearnedSeats,
    kind: Kind,
    latencies: Latencies,
    *,
    in_use: int,
    now_ms: int,
    policy: SeatsPolicy,
) -> LearnedSeats:
    """Good answers came while `in_use` calls were in flight."""
    before = known.kinds.get(kind, Sampled())
    sampled = Sampled(
        min(before.least_ms, latencies.least_ms),
        min(before.lowest_ms, latencies.least_ms),
        before.total_ms + latencies.total_ms,
        before.calls + latencies.calls,
    )
    known = msgspec.structs.replace(
        known, kinds={**known.kinds, kind: sampled}, busiest=max(known.busiest, in_use)
    )
    calls = sum(one.calls for one in known.kinds.values())
    whole = now_ms - known.sampled_from_ms >= policy.sample_ms and calls >= policy.samples
    return _after_sample(known, calls, now_ms, policy) if whole else known


def after_overload(
    known: LearnedSeats, *, started_ms: int, now_ms: int, policy: SeatsPolicy
) -> LearnedSeats:
    """A call that was started at `started_ms` met an overload."""
    if started_ms <= known.cut_at_ms:
        return known
    seats = max(float(policy.least), known.seats * policy.cut)
    return msgspec.structs.replace(known, seats=seats, cut_at_ms=now_ms)


def _after_sample(
    known: LearnedSeats, calls: int, now_ms: int, policy: SeatsPolicy
) -> LearnedSeats:
    overdue_ms = _overdue_ms(known, now_ms, policy)
    calm = overdue_ms >= 0 and known.busiest <= max(policy.least, known.seats * policy.part)
    seats, measured_at_ms = known.seats, known.measured_at_ms
    if calm or overdue_ms >= policy.patience_ms:
        measured_at_ms = now_ms
    if calm and any(
        o.lowest_ms > policy.tolerance * o.least_ms for o in known.kinds.values() if o.calls
    ):
        measured_at_ms -= policy.measure_ms - policy.patience_ms
    if overdue_ms < 0 or (overdue_ms >= policy.patience_ms and not calm):
        seats = _moved(known, calls, policy)
    kinds = {
        kind: Sampled(one.lowest_ms if calm else one.least_ms) for kind, one in known.kinds.items()
    }
    return LearnedSeats(seats, now_ms, measured_at_ms, kinds, 0, known.cut_at_ms)


def _moved(known: LearnedSeats, calls: int, policy: SeatsPolicy) -> float:
    # How many times longer than at the least, on average.
    slow = sum(one.total_ms / max(one.least_ms, 1e-9) for one in known.kinds.values() if one.calls)
    gradient = max(0.5, min(1.0, policy.tolerance * calls / max(slow, 1e-9)))
    seats = known.seats
    wanted = seats * gradient + math.sqrt(seats)
    moved = seats + policy.smoothing * (wanted - seats)
    used = known.busiest >= seats / 2
    return _bounded(moved if used else min(moved, seats), policy)


def _overdue_ms(known: LearnedSeats, now_ms: int, policy: SeatsPolicy) -> int:
    """For how long the minimum has been too old; below 0: it is not."""
    return now_ms - known.measured_at_ms - policy.measure_ms


def _bounded(seats: float, policy: SeatsPolicy) -> float:
    return max(float(policy.least), min(float(policy.most), seats))
