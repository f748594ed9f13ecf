"""The retry budget: a share of first calls and a floor; what it lacks is waited for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.dispatcher.budget import WINDOW_S, BudgetPolicy, RetryBudget

STRICT = BudgetPolicy(share=0.2, floor_per_s=0.1)


def spend_all(budget: RetryBudget, now_s: float) -> int:
    """How many repeats are there at once."""
    count = 0
    while budget.wait_ms(now_s) == 0:
        budget.spend(now_s)
        count += 1
    return count


def test_a_new_process_has_the_floor_of_a_minute() -> None:
    assert spend_all(RetryBudget(STRICT), 0) == 6


def test_first_calls_pay_their_share() -> None:
    budget = RetryBudget(STRICT)
    for _ in range(1_000):
        budget.first_call(0)
    assert spend_all(budget, 0) == 206


def test_what_was_paid_in_is_forfeited_after_a_minute() -> None:
    budget = RetryBudget(STRICT)
    for _ in range(1_000):
        budget.first_call(0)
    assert spend_all(budget, WINDOW_S + 1) == 6


def test_repeats_that_lack_their_credit_are_spread_over_time() -> None:
    budget = RetryBudget(STRICT)
    spend_all(budget, 0)
    waits = []
    for _ in range(3):
        waits.append(budget.wait_ms(0))
        budget.spend(0)
    assert waits == [10_000, 20_000, 30_000]


def test_the_wait_that_was_told_is_long_enough() -> None:
    budget = RetryBudget(STRICT)
    spend_all(budget, 0)
    wait_ms = budget.wait_ms(0)
    assert budget.wait_ms(wait_ms / 1000 + 0.001) == 0


@pytest.mark.parametrize(("share", "floor"), [(-0.1, 1.0), (0.2, 0.0)])
def test_a_budget_out_of_which_nothing_would_come_is_refused(share: float, floor: float) -> None:
    with pytest.raises(ValueError, match="retry budget"):
        BudgetPolicy(share, floor)


steps = st.lists(
    st.tuples(st.sampled_from(["call", "repeat"]), st.floats(0, 30), st.integers(1, 50)),
    max_size=60,
)


@given(steps)
def test_repeats_never_pass_their_share_and_floor(script: list[tuple[str, float, int]]) -> None:
    budget = RetryBudget(STRICT)
    now_s, calls, repeats = 1_000.0, 0, 0
    began_s = now_s
    for what, pause_s, times in script:
        now_s += pause_s
        for _ in range(times):
            if what == "call":
                budget.first_call(now_s)
                calls += 1
            elif budget.wait_ms(now_s) == 0:
                budget.spend(now_s)
                repeats += 1
        allowed = STRICT.share * calls + STRICT.floor_per_s * (now_s - began_s + WINDOW_S)
        assert repeats <= allowed + 1e-6


@given(steps)
def test_there_is_always_a_time_for_the_next_repeat(script: list[tuple[str, float, int]]) -> None:
    budget = RetryBudget(STRICT)
    now_s, owed = 0.0, 0
    for what, pause_s, times in script:
        now_s += pause_s
        for _ in range(times):
            if what == "call":
                budget.first_call(now_s)
            else:
                budget.spend(now_s)
                owed += 1
        assert 0 <= budget.wait_ms(now_s) <= (owed + 1) * 1000 / STRICT.floor_per_s


def test_the_floor_is_divided_among_the_processes_that_live() -> None:
    budgets = [RetryBudget(BudgetPolicy(share=0.0, floor_per_s=8.0)) for _ in range(8)]
    for budget in budgets:
        budget.divide(8, 0.0)
    granted = 0
    for second in range(600):
        for budget in budgets:
            while budget.wait_ms(float(second)) == 0:
                budget.spend(float(second))
                granted += 1
    # A minute's worth at the start, and then eight a second by all of them together.
    assert granted == 8 * (60 + 599)
