"""Waits between attempts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.dispatcher.policy.backoff import throttle_ms, transient_ms

rolls = st.floats(min_value=0, max_value=1, exclude_max=True)


@pytest.mark.parametrize(
    ("failures", "longest_ms"), [(1, 500), (2, 1_000), (3, 2_000), (6, 16_000), (7, 20_000)]
)
def test_a_failure_waits_up_to_its_doubled_bound(failures: int, longest_ms: int) -> None:
    assert transient_ms(failures, 0.0) == 0
    assert longest_ms * 0.99 < transient_ms(failures, 0.9999) <= longest_ms


@pytest.mark.parametrize(
    ("throttled", "least_ms", "most_ms"),
    [(1, 500, 1_000), (2, 1_000, 2_000), (7, 32_000, 64_000), (8, 60_000, 120_000)],
)
def test_throttling_waits_at_least_half_its_bound(
    throttled: int, least_ms: int, most_ms: int
) -> None:
    assert throttle_ms(throttled, 0.0, None) == least_ms
    assert most_ms * 0.99 < throttle_ms(throttled, 0.9999, None) <= most_ms


@given(times=st.integers(1, 1_000_000), roll=rolls, asked_ms=st.none() | st.integers(0, 86_400_000))
def test_throttling_never_comes_before_the_time_asked_for(
    times: int, roll: float, asked_ms: int | None
) -> None:
    wait_ms = throttle_ms(times, roll, asked_ms)
    assert (asked_ms or 0) <= wait_ms <= max(120_000, asked_ms or 0)
