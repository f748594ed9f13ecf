"""Cooldowns and the slow start after them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.dispatcher.governor.cooldown import (
    Cooldown,
    CooldownPolicy,
    after_refusal,
    pace,
    would_pace,
)

POLICY = CooldownPolicy()
T0 = 1_800_000_000_000


def refused(
    cooldown: Cooldown, now_ms: int, asked_ms: int | None = None, started_ms: int | None = None
) -> Cooldown:
    """After a refusal, of a call that was started just now."""
    return after_refusal(
        cooldown,
        started_ms=now_ms if started_ms is None else started_ms,
        asked_ms=asked_ms,
        now_ms=now_ms,
        roll=0.5,
        policy=POLICY,
    )


def test_it_rests_as_long_as_the_upstream_asks() -> None:
    assert refused(Cooldown(), T0, asked_ms=20_000).until_ms == T0 + 20_000


def test_without_a_wish_each_rest_in_a_row_is_longer() -> None:
    first = refused(Cooldown(), T0)
    second = refused(first, first.until_ms + 1)
    assert first.until_ms - T0 == 750
    assert second.until_ms - first.until_ms - 1 == 1_500


def test_after_a_quiet_time_the_next_is_the_first() -> None:
    first = refused(Cooldown(), T0)
    assert refused(first, first.until_ms + POLICY.forget_ms).times == 1


def test_what_was_in_flight_makes_it_no_longer_unless_it_asks() -> None:
    first = refused(Cooldown(), T0)
    assert refused(first, T0 + 100, started_ms=T0 - 300) == first
    longer = refused(first, T0 + 100, asked_ms=5_000, started_ms=T0 - 300)
    assert (longer.until_ms, longer.times) == (T0 + 5_100, 1)


def test_the_pace_is_nothing_then_doubles_until_it_is_whole() -> None:
    cooldown = refused(Cooldown(), T0, asked_ms=10_000)
    end_ms = T0 + 10_000
    assert pace(cooldown, end_ms - 1, POLICY) == 0
    paces = [pace(cooldown, end_ms + n * POLICY.double_ms, POLICY) for n in range(5)]
    assert paces == [0.125, 0.25, 0.5, 1.0, 1.0]
    assert pace(cooldown, end_ms + 10**12, POLICY) == 1


def test_without_a_refusal_the_pace_is_whole() -> None:
    assert pace(Cooldown(), 0, POLICY) == would_pace(Cooldown(), 0, POLICY) == 1


def test_under_shadow_it_is_known_and_nobody_held_back() -> None:
    cooldown = refused(Cooldown(), T0, asked_ms=10_000)
    assert pace(cooldown, T0, CooldownPolicy(shadow=True)) == 1
    assert would_pace(cooldown, T0, CooldownPolicy(shadow=True)) == 0


@given(
    st.lists(
        st.tuples(
            st.integers(0, 90_000), st.integers(0, 5_000), st.none() | st.integers(0, 86_400_000)
        ),
        max_size=20,
    )
)
def test_no_refusal_ever_shortens_a_rest(events: list[tuple[int, int, int | None]]) -> None:
    cooldown, now_ms = Cooldown(), T0
    for wait_ms, age_ms, asked_ms in events:
        now_ms += wait_ms
        after = refused(cooldown, now_ms, asked_ms, now_ms - age_ms)
        assert after.until_ms >= max(cooldown.until_ms, now_ms + (asked_ms or 0))
        cooldown = after


@pytest.mark.parametrize("wrong", [{"first_share": 0.0}, {"double_ms": 0}, {"forget_ms": -1}])
def test_a_policy_that_makes_no_sense_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="a first share"):
        CooldownPolicy(**wrong)  # type: ignore[arg-type]
