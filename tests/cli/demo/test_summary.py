"""The end of the demo: figures, latencies and the machine-readable line."""

import pytest

from headrace.cli.demo.check import Findings, check
from headrace.cli.demo.summary import (
    LaneLatency,
    figures,
    last_line,
    latencies,
    quantile,
    reasons_of,
)
from support.evidence import RULES, answer_of, good_run, with_history


def findings() -> Findings:
    return check(good_run(), RULES, answer_of)


def test_the_last_line_is_machine_readable() -> None:
    assert last_line(findings(), 31.6) == (
        "demo: sent=3 answered=2 dead_lettered=1 lost=0 doubled=0 retried=1 recovered=1 "
        "upstream_calls=6 seconds=32"
    )


@pytest.mark.parametrize(("share", "value"), [(0.5, 50), (0.99, 99), (1.0, 100), (0.0, 1)])
def test_a_quantile_is_the_nearest_rank(share: float, value: int) -> None:
    assert quantile(range(1, 101), share) == value


def test_a_quantile_of_one_value_is_that_value() -> None:
    assert quantile([7], 0.5) == quantile([7], 0.99) == 7


def test_latencies_are_those_at_the_client() -> None:
    assert latencies(("batch",), good_run().history) == [LaneLatency("batch", 3, 20_000, 20_000)]


def test_a_lane_without_an_end_has_no_latency() -> None:
    assert latencies(("interactive",), good_run().history) == []


def test_a_request_that_still_waits_has_no_latency() -> None:
    run = with_history(good_run(), 1, ended_at=0)
    assert latencies(("batch",), run.history)[0].count == 2


def test_the_figures_tell_the_reason_of_dead_letters() -> None:
    reasons = reasons_of(good_run().dump.dead_letters)
    assert figures(findings(), reasons, None)["dead-lettered"] == "1 (attempts_exhausted)"


def test_the_figures_tell_how_long_the_takeover_took() -> None:
    told = figures(findings(), [], 8.04)["recovered"]
    assert told == "1 of 1 in flight at the kill, taken over after 8.0 s"
