"""The failure of a call is a pure function of seed, request and attempt."""

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from headrace.cli.mock.failures import Cause, Failure, decide_failure, roll
from headrace.cli.mock.script import Fault, Script

digests = st.binary(min_size=32, max_size=32)
DIGEST = hashlib.sha256(b"a").digest()


def outcomes(script: Script, attempts: int, seed: int = 1) -> list[int]:
    """The status of each attempt, 200 where nothing fails."""
    failures = [decide_failure(script, seed, DIGEST, n) for n in range(1, attempts + 1)]
    return [failure.status if failure else 200 for failure in failures]


def test_fail_fails_the_first_calls_and_then_lets_pass() -> None:
    assert outcomes(Script(fail="2x500"), 4) == [500, 500, 200, 200]


def test_the_steps_of_fail_follow_each_other() -> None:
    assert outcomes(Script(fail="1x500+1x200+2x429"), 5) == [500, 200, 429, 429, 200]


def test_after_fail_the_status_holds() -> None:
    assert outcomes(Script(fail="1x200", status=503), 3) == [200, 503, 503]


def test_a_step_can_be_a_fault() -> None:
    failure = decide_failure(Script(fail="1xcut"), 1, DIGEST, 1)
    assert failure == Failure(Cause.SCRIPTED, 200, Fault.CUT)


def test_a_status_by_name_never_stops_failing() -> None:
    assert outcomes(Script(status=500, max_failures=1), 5) == [500] * 5


def test_what_is_scripted_by_name_is_not_subject_to_rates() -> None:
    assert outcomes(Script(fail="1x200", rate_5xx=1), 3) == [200, 200, 200]


@given(digest=digests, seed=st.integers(), attempt=st.integers(1, 1000))
def test_the_same_arguments_give_the_same_failure(digest: bytes, seed: int, attempt: int) -> None:
    script = Script(rate_5xx=0.3, rate_429=0.3, rate_4xx=0.3)
    first = decide_failure(script, seed, digest, attempt)
    assert first == decide_failure(script, seed, digest, attempt)


@given(digest=digests, seed=st.integers(), most=st.integers(0, 5))
def test_a_request_fails_at_most_max_failures_times(digest: bytes, seed: int, most: int) -> None:
    script = Script(rate_5xx=1, max_failures=most)
    failed = [decide_failure(script, seed, digest, attempt) for attempt in range(1, 12)]
    assert sum(failure is not None for failure in failed) == most


@given(digest=digests, seed=st.integers(), attempt=st.integers(1, 100))
def test_a_roll_is_at_least_zero_and_below_one(digest: bytes, seed: int, attempt: int) -> None:
    assert 0 <= roll(seed, digest, attempt, "fail") < 1


def test_the_rates_are_met_over_many_requests() -> None:
    script = Script(rate_5xx=0.10, rate_429=0.05)
    drawn = [
        decide_failure(script, 7, hashlib.sha256(b"%d" % number).digest(), 1)
        for number in range(10_000)
    ]
    failed = [failure.status for failure in drawn if failure]
    assert 400 < failed.count(429) < 600
    assert 900 < sum(status >= 500 for status in failed) < 1100


def test_these_failures_stay_the_same_from_release_to_release() -> None:
    script = Script(rate_5xx=0.4, rate_429=0.2, rate_4xx=0.2)
    assert outcomes(script, 8, seed=42) == [503, 429, 504, 400, 200, 504, 504, 200]
