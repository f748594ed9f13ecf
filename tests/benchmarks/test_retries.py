"""B8's upstream, and the rows that are made of what it noted."""

from typing import cast

import psutil
import pytest
from aiokafka import AIOKafkaProducer

from benchmarks.measures import retries
from benchmarks.measures.retries import COMPOSED_MS, ONE_TIER_MS, Plan, Retrying
from benchmarks.report.rows import Row
from benchmarks.upstream.answers import PLAIN
from benchmarks.upstream.patient import Patience


def lateness(late_ms: list[float]) -> dict[str, Row]:
    """The rows of waits of one tier that came so late."""
    patience = Patience()
    patience.late_ms[ONE_TIER_MS] = late_ms
    producer = cast("AIOKafkaProducer", None)
    measured = Retrying(
        Plan(1, 1, 1), patience=patience, producer=producer, topic="t", pid=psutil.Process().pid
    )
    rows = measured._lateness(ONE_TIER_MS, "one", retries.LATE_BAR_MS)
    return {row.what: row for row in rows}


def test_a_request_is_turned_away_once_and_its_lateness_noted() -> None:
    patience = Patience()
    assert b"retry-after-ms: 5" in patience.answer(b"r", 5)
    assert patience.turned_away == 1
    assert patience.answer(b"r", 5) == PLAIN
    (late_ms,) = patience.late_ms[5]
    assert late_ms >= -5


def test_a_request_that_asks_for_no_wait_is_answered() -> None:
    patience = Patience()
    assert patience.answer(b"r", 0) == PLAIN
    assert patience.late_ms == {}


@pytest.mark.parametrize(("late_ms", "held"), [([1.0] * 99 + [249.0], True), ([251.0], False)])
def test_the_99th_percentile_is_judged(late_ms: list[float], held: bool) -> None:
    assert lateness(late_ms)["one: late, p99"].held is held


def test_an_early_one_is_a_miss() -> None:
    assert lateness([-retries.CLOCK_MS - 0.1, 5.0])["one: early ones"].held is False
    assert lateness([-retries.CLOCK_MS, 5.0])["one: early ones"].held is True


def test_waits_that_never_ended_hold_no_bar() -> None:
    assert lateness([float("inf")])["one: late, p99"].held is False


def test_the_composed_wait_needs_more_than_one_tier() -> None:
    assert COMPOSED_MS > 2 * 10_000
