"""Seats that are learned from latency."""

import heapq
import random

import pytest

from headrace.dispatcher.governor.learning.seats import (
    Latencies,
    LearnedSeats,
    Sampled,
    SeatsPolicy,
    after_answers,
    after_overload,
    allowed,
    begin,
)
from headrace.schemas.tellings import Kind

POLICY = SeatsPolicy()
T0 = 1_800_000_000_000
SERVICE_MS = 400.0


class Server:
    """Serves `capacity` calls at full speed; more share it. `demand` calls at most want a seat.

    Some answers tell a latency of another kind, which is far less.
    """

    def __init__(
        self,
        capacity: int,
        demand: int = 10_000,
        *,
        policy: SeatsPolicy = POLICY,
        service_ms: float = SERVICE_MS,
        plain: float = 0.0,
    ) -> None:
        self.capacity, self.demand, self.policy = capacity, demand, policy
        self.service_ms, self.plain = service_ms, plain
        self.known = begin(T0, policy)
        self.now_ms = T0
        self.seats: list[int] = []
        self._dice = random.Random(capacity)
        self._ends: list[tuple[int, float]] = []

    def run(self, seconds: int) -> "Server":
        """Let time pass, with a call in each seat."""
        until_ms = self.now_ms + seconds * 1000
        while self.now_ms < until_ms:
            seats = allowed(self.known, self.now_ms, self.policy)
            self.seats.append(seats)
            while len(self._ends) < min(seats, self.demand):
                busy = max(1.0, (len(self._ends) + 1) / self.capacity)
                latency_ms = self.service_ms * busy * self._dice.uniform(1.0, 1.2)
                heapq.heappush(self._ends, (self.now_ms + round(latency_ms), latency_ms))
            self.now_ms, latency_ms = heapq.heappop(self._ends)
            kind = Kind.FIRST_BYTE
            if self.plain and self._dice.random() < self.plain:
                kind, latency_ms = Kind.ANSWER, latency_ms / 20
            self.known = after_answers(
                self.known,
                kind,
                Latencies(1, latency_ms, latency_ms),
                in_use=len(self._ends) + 1,
                now_ms=self.now_ms,
                policy=self.policy,
            )
        return self


@pytest.mark.parametrize("capacity", [2, 4, 16, 64])
def test_it_finds_what_the_upstream_takes(capacity: int) -> None:
    server = Server(capacity).run(240)
    assert capacity <= server.known.seats <= 3 * capacity + 2


def test_kinds_of_latency_are_compared_with_their_own_least() -> None:
    assert 16 <= Server(16, plain=0.5).run(240).known.seats <= 48


def test_it_does_not_drift_away_over_hours() -> None:
    assert 16 <= Server(16).run(2 * 3_600).known.seats <= 48
    assert 4 <= Server(4).run(2 * 3_600).known.seats <= 14


def test_calls_too_long_for_a_measurement_keep_the_old_minimum() -> None:
    policy = SeatsPolicy(patience_ms=5_000)
    server = Server(16, policy=policy, service_ms=20_000).run(3 * 3_600)
    assert 16 <= server.known.seats <= 48


def test_it_follows_an_upstream_that_grows_or_shrinks() -> None:
    server = Server(8).run(300)
    server.capacity = 64
    assert server.run(600).known.seats >= 64
    server.capacity = 8
    assert server.run(900).known.seats <= 24


def test_seats_that_nobody_uses_are_not_added_to() -> None:
    assert Server(1_000, demand=3).run(300).known.seats == POLICY.first


def test_an_overload_cuts_once_for_all_that_were_in_flight() -> None:
    known = begin(T0, POLICY)
    once = after_overload(known, started_ms=T0 + 1, now_ms=T0 + 10, policy=POLICY)
    assert once.seats == POLICY.first * POLICY.cut
    assert after_overload(once, started_ms=T0 + 9, now_ms=T0 + 20, policy=POLICY) == once
    assert after_overload(once, started_ms=T0 + 11, now_ms=T0 + 20, policy=POLICY) != once


def test_at_least_one_seat_always_remains() -> None:
    known = LearnedSeats(1.0, T0, T0)
    for n in range(50):
        known = after_overload(known, started_ms=T0 + n, now_ms=T0 + n, policy=POLICY)
    assert allowed(known, T0, POLICY) == POLICY.least


def sample(known: LearnedSeats, latency_ms: float, in_use: int, now_ms: int) -> LearnedSeats:
    """A whole one."""
    latencies = Latencies(POLICY.samples, latency_ms * POLICY.samples, latency_ms)
    return after_answers(
        known, Kind.FIRST_BYTE, latencies, in_use=in_use, now_ms=now_ms, policy=POLICY
    )


def test_most_seats_are_free_until_the_minimum_is_measured() -> None:
    due_ms = T0 + POLICY.measure_ms
    known = LearnedSeats(40.0, T0, T0, {Kind.FIRST_BYTE: Sampled(100.0)})
    assert allowed(known, due_ms - 1, POLICY) == 40
    assert allowed(known, due_ms, POLICY) == 10
    busy = sample(known, 900.0, 40, due_ms + 1_000)
    assert allowed(busy, due_ms + 1_000, POLICY) == 10
    calm = sample(busy, 300.0, 10, due_ms + 2_000)
    assert allowed(calm, due_ms + 2_000, POLICY) == 40
    assert calm.kinds[Kind.FIRST_BYTE].least_ms == 300.0
    # It is three times what it was, so it is measured again soon.
    assert allowed(calm, due_ms + 2_000 + POLICY.patience_ms, POLICY) == 10


def test_a_measurement_in_which_nobody_leaves_is_given_up() -> None:
    due_ms = T0 + POLICY.measure_ms
    known = LearnedSeats(40.0, T0, T0, {Kind.FIRST_BYTE: Sampled(100.0)})
    late_ms = due_ms + POLICY.patience_ms
    assert allowed(known, late_ms, POLICY) == 40
    given_up = sample(known, 300.0, 40, late_ms)
    assert given_up.seats < 40
    assert given_up.kinds[Kind.FIRST_BYTE].least_ms == 100.0
    assert allowed(given_up, late_ms + 1, POLICY) == int(given_up.seats)


@pytest.mark.parametrize(
    "wrong",
    [
        {"least": 0},
        {"first": 2_000},
        {"tolerance": 0.9},
        {"smoothing": 0.0},
        {"measure_ms": 1_000},
        {"part": 1.0},
    ],
)
def test_a_policy_that_makes_no_sense_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 (each has words of its own)
        SeatsPolicy(**wrong)  # type: ignore[arg-type]
