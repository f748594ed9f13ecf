"""Rows, their bars, and how windows become them."""

import json

from benchmarks.harness.arena import BARE, DIRECT, PRODUCT
from benchmarks.harness.options import Options
from benchmarks.harness.profile import summarise
from benchmarks.harness.windows import Measured, Rounds, alternate
from benchmarks.load.jobs import Outcome, Quantiles
from benchmarks.measures.capacity import cost_rows, rate_rows
from benchmarks.measures.latency import latency_rows
from benchmarks.report.rows import Row, as_json, at_least, at_most, figure


def window(cpu_us: float = 100, *, rate: int = 1000, p50: float = 1, p99: float = 2) -> Measured:
    """One second of `rate` requests in which every role used `cpu_us` for each."""
    latency = Quantiles(rate, p50, p99, [p50] * 101)
    names = [f"{s} {role}" for s in (BARE, PRODUCT) for role in ("ingress", "dispatcher")]
    cpu_s = dict.fromkeys([*names, "Kafka"], cpu_us * rate / 1e6)
    outcome = Outcome(1.0, rate, 0, latency_ms=latency, lag_ms=latency)
    return Measured(outcome, cpu_s, dict.fromkeys(cpu_s, 50.0))


def judged(rows: list[Row], row_id: str) -> list[Row]:
    return [row for row in rows if row.id == row_id]


def test_a_value_on_the_bar_holds() -> None:
    assert at_most("B1", "x", 2.0, "x", 2.0, judged=True).held is True
    assert at_most("B1", "x", 2.0001, "x", 2.0, judged=True).held is False
    assert at_least("B2", "x", 0.5, "x", 0.5, judged=True).held is True
    assert at_least("B2", "x", 0.4999, "x", 0.5, judged=True).held is False


def test_too_few_rounds_judge_nothing() -> None:
    rounds = Rounds([{BARE: window(), PRODUCT: window(500)}] * 4, [])
    (row,) = judged(cost_rows(rounds), "B1")
    assert row.held is None


def test_cost_is_judged_by_the_median_of_the_ratios() -> None:
    costs = [150, 160, 170, 180, 900]
    rounds = Rounds([{BARE: window(100), PRODUCT: window(cost)} for cost in costs], [])
    (row,) = judged(cost_rows(rounds), "B1")
    assert (row.value, row.held) == (1.7, True)


def test_rate_is_judged_by_the_median_of_the_ratios() -> None:
    rounds = Rounds([{BARE: window(rate=1000), PRODUCT: window(rate=490)}] * 5, [])
    (row,) = judged(rate_rows(rounds, Options()), "B2")
    assert (row.value, row.held) == (0.49, False)


def test_added_latency_is_what_the_upstream_alone_does_not_take() -> None:
    one = {
        DIRECT: window(p50=1, p99=2),
        BARE: window(p50=4, p99=12),
        PRODUCT: window(p50=6, p99=26),
    }
    p50, p99 = judged(latency_rows(Rounds([one] * 5, []), 500.0), "B3")
    assert (p50.value, p50.held) == (5.0, True)
    assert (p99.value, p99.bar, p99.held) == (24.0, "<= 25.0", True)


def test_the_bar_of_p99_rises_with_the_bare_loop() -> None:
    one = {DIRECT: window(p99=2), BARE: window(p99=22), PRODUCT: window(p99=41)}
    _, p99 = judged(latency_rows(Rounds([one] * 5, []), 500.0), "B3")
    assert (p99.bar, p99.held) == ("<= 40.0", True)


def test_results_are_a_json_list_of_rows_with_their_six_fields() -> None:
    rows = [figure("machine", "machine", "a box", ""), at_most("B1", "x", 1.5, "x", 2, judged=True)]
    text = as_json(rows)
    assert json.loads(text)[1] == {
        "id": "B1",
        "what": "x",
        "value": 1.5,
        "unit": "x",
        "bar": "<= 2",
        "held": True,
    }
    assert text.splitlines()[1].startswith('{"id":"machine"')


async def test_a_round_with_an_invalid_window_is_thrown_away_and_made_up_for() -> None:
    async def run(subject: str, number: int) -> Measured:
        if (subject, number) == (PRODUCT, 1):
            return Measured(Outcome(1.0, 10, 3, "HTTP status 503"), {}, {})
        return window()

    rounds = await alternate((BARE, PRODUCT), 2, run)
    assert len(rounds.rounds) == 2
    assert rounds.invalid == ["product: 3 failed of 13: HTTP status 503"]


async def test_every_other_round_runs_backwards() -> None:
    order: list[str] = []

    async def run(subject: str, _number: int) -> Measured:
        order.append(subject)
        return window()

    await alternate((BARE, PRODUCT), 2, run)
    assert order == [BARE, PRODUCT, PRODUCT, BARE]


def test_a_profile_counts_a_recursive_function_once_a_sample() -> None:
    text = summarise("main (a.py:1);f (a.py:5);f (a.py:6) 3\nmain (a.py:2) 1\n", top=9)
    within, _, itself = text.partition("line by line")
    assert "100.0%  main (a.py)" in within
    assert " 75.0%  f (a.py)" in within
    assert " 75.0%  f (a.py:6)" in itself
    assert " 25.0%  main (a.py:2)" in itself
