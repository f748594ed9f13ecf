"""Seats that are learned from latency."""

import heapq
import random

import pytest

from headrace.dispatcher.governor.learning.seats import (
    LearnedSeats,
    SeatsPolicy,
    after_answer,
    after_overload,
    allowed,
    begin,
)

POLICY = SeatsPolicy()
T0 = 1_800_000_000_000
SERVICE_MS = 400.0


class Server:
    """Serves `capacity` calls at full speed; more share it. `demand` calls at most want a seat."""

    def __init__(self, capacity: int, demand: int = 10_000, policy: SeatsPolicy = POLICY) -> None:
        self.capacity, self.demand, self.policy = capacity, demand, policy
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
                latency_ms = SERVICE_MS * busy * self._dice.uniform(1.0, 1.2)
                heapq.heappush(self._ends, (self.now_ms + round(latency_ms), latency_ms))
            self.now_ms, latency_ms = heapq.heappop(self._ends)
            self.known = after_answer(
                self.known,
                latency_ms=latency_ms,
                in_use=len(self._ends) + 1,
                now_ms=self.now_ms,
                policy=self.policy,
            )
        return self


@pytest.mark.parametrize("capacity", [4, 16, 64])
def test_it_finds_what_the_upstream_takes(capacity: int) -> None:
    server = Server(capacity).run(240)
    assert capacity <= server.known.seats <= 3 * capacity


def test_it_does_not_drift_away_over_hours() -> None:
    server = Server(16).run(2 * 3_600)
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


def test_while_the_minimum_is_measured_half_of_the_seats_are_free() -> None:
    known = LearnedSeats(40.0, T0, T0)
    assert allowed(known, T0 + POLICY.sample_ms, POLICY) == 20
    assert allowed(known, T0 + 2 * POLICY.sample_ms, POLICY) == 40


def test_under_shadow_nobody_is_held_to_the_number() -> None:
    assert allowed(begin(T0, POLICY), T0, SeatsPolicy(shadow=True)) == POLICY.most


@pytest.mark.parametrize(
    "wrong",
    [{"least": 0}, {"first": 2_000}, {"tolerance": 0.9}, {"smoothing": 0.0}, {"measure_ms": 1_000}],
)
def test_a_policy_that_makes_no_sense_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 (each has words of its own)
        SeatsPolicy(**wrong)  # type: ignore[arg-type]
