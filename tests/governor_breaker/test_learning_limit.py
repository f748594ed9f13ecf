"""A limit that is learned from 429s: by example, and against an upstream with a hidden one (G8)."""

import pytest
from governor_breaker.hidden_limit import CALL_MS, CASES, START_MS, HiddenLimit
from hypothesis import given
from hypothesis import strategies as st

from headrace.dispatcher.governor.learning.limit import (
    LearnedLimit,
    LearnPolicy,
    after_429,
    after_headers,
    learned,
)

POLICY = LearnPolicy()
T0 = 1_800_000_000_000
FRESH = LearnedLimit(100.0)


def cut(spent: float = 60, limit: LearnedLimit = FRESH, now_ms: int = T0) -> LearnedLimit:
    """After a 429 of a call that was started just before."""
    return after_429(limit, started_ms=now_ms - 1, spent=spent, now_ms=now_ms, policy=POLICY)


@pytest.mark.parametrize(
    ("configured", "hidden", "tells"),
    CASES,
)
def test_a_hidden_limit_is_used_and_seldom_met(configured: int, hidden: int, tells: str) -> None:
    run = HiddenLimit(configured=configured, hidden=hidden, seed=hidden, tells=tells).run(18)
    assert max(run.refused_by_window(after=2)) <= 3
    assert run.used(after=2) >= 0.9


def test_a_limit_that_the_headers_tell_is_met_before_the_first_answer_only() -> None:
    run = HiddenLimit(configured=100, hidden=60, seed=1, tells="limit").run(8)
    assert max(run.refused) < START_MS + CALL_MS
    assert run.used(after=2) >= 0.97


def test_a_hidden_limit_that_is_lifted_is_found_within_a_quarter_of_an_hour() -> None:
    run = HiddenLimit(configured=100, hidden=60, seed=1).run(3)
    run.hidden = 100
    run.run(13)
    assert run.limit == 100


def test_under_shadow_the_limit_is_learned_and_nobody_held_to_it() -> None:
    shadow = LearnPolicy(shadow=True)
    run = HiddenLimit(configured=100, hidden=60, seed=1, learn=shadow).run(3)
    assert run.limit == 100
    (known,) = run.owner.restraints.now(run.now_ms).values()
    assert known < 100


def test_a_429_cuts_from_what_was_spent_when_it_came() -> None:
    assert learned(cut(spent=90), T0, POLICY) == 62


def test_one_odd_429_on_a_quiet_key_cuts_to_half_and_no_further() -> None:
    assert learned(cut(spent=1), T0, POLICY) == 49


def test_the_429s_of_one_epoch_cut_once() -> None:
    once = cut()
    again = after_429(once, started_ms=T0 - 5, spent=60, now_ms=T0 + 300, policy=POLICY)
    assert again == once
    assert cut(40, once, T0 + 300).cuts == 2


def test_a_429_above_the_limit_teaches_nothing() -> None:
    assert cut(spent=101) == FRESH


def test_it_grows_back_quickly_then_flat_then_beyond() -> None:
    after = cut(spent=90)
    steps = [learned(after, T0 + round(part * POLICY.regrow_ms), POLICY) for part in (0.5, 1, 1.5)]
    assert steps == [85, 89, 92]
    assert learned(after, T0 + 3 * POLICY.regrow_ms, POLICY) == 100


def test_headers_lower_the_ceiling_and_raise_it_again_but_not_above_the_configuration() -> None:
    lowered = after_headers(FRESH, 60)
    assert learned(lowered, T0, POLICY) == 60
    assert learned(after_headers(lowered, None), T0, POLICY) == 60
    assert learned(after_headers(lowered, 500), T0, POLICY) == 100


@given(
    events=st.lists(
        st.tuples(st.integers(0, 400_000), st.integers(0, 5_000), st.floats(0, 200)), max_size=30
    )
)
def test_it_stays_between_the_least_and_the_ceiling(
    events: list[tuple[int, int, float]],
) -> None:
    limit, now_ms = FRESH, T0
    for wait_ms, age_ms, spent in events:
        now_ms += wait_ms
        limit = after_429(
            limit, started_ms=now_ms - age_ms, spent=spent, now_ms=now_ms, policy=POLICY
        )
        assert POLICY.least <= learned(limit, now_ms, POLICY) <= limit.ceiling


@pytest.mark.parametrize("wrong", [{"cut": 1.0}, {"cut": 0.0}, {"regrow_ms": 0}, {"least": 0.0}])
def test_a_policy_that_makes_no_sense_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="a cut lies"):
        LearnPolicy(**wrong)  # type: ignore[arg-type]
