"""What ends of calls mean for breaker and limits, row by row of the table."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.dispatcher.governor.effects import (
    PROBE_ENDS,
    BreakerEffect,
    LimiterEffect,
    effects_of,
)
from headrace.dispatcher.ports import Break, CallEnd


def answer(status: int, code: str = "", **headers: str) -> CallEnd:
    """An error answer in OpenAI's shape."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return CallEnd(status=status, body=f'{{"error":{{"code":"{code}"}}}}'.encode(), headers=named)


def broken(how: Break) -> CallEnd:
    """A call without a whole answer."""
    return CallEnd(broken=how)


@pytest.mark.parametrize(
    ("end", "breaker", "limiter"),
    [
        (answer(200), BreakerEffect.SUCCESS, LimiterEffect.SETTLE),
        (broken(Break.NOT_SENT), BreakerEffect.FAILURE, LimiterEffect.REFUND),
        (broken(Break.NO_ANSWER), BreakerEffect.FAILURE, LimiterEffect.SETTLE),
        (broken(Break.FIRST_BYTE_TIMEOUT), BreakerEffect.FAILURE, LimiterEffect.SETTLE),
        (broken(Break.STALL), BreakerEffect.FAILURE, LimiterEffect.SETTLE),
        (broken(Break.TOTAL_TIMEOUT), BreakerEffect.FAILURE, LimiterEffect.SETTLE),
        (broken(Break.STREAM_BROKEN), BreakerEffect.FAILURE, LimiterEffect.SETTLE),
        (broken(Break.TOO_LARGE), BreakerEffect.IGNORED, LimiterEffect.SETTLE),
        (answer(500), BreakerEffect.FAILURE, LimiterEffect.SETTLE),
        (answer(502), BreakerEffect.FAILURE, LimiterEffect.SETTLE),
        (answer(503), BreakerEffect.FAILURE, LimiterEffect.SETTLE),
        (answer(504), BreakerEffect.FAILURE, LimiterEffect.SETTLE),
        (answer(529), BreakerEffect.OVERLOAD, LimiterEffect.COOLDOWN),
        (answer(503, "slow_down"), BreakerEffect.OVERLOAD, LimiterEffect.COOLDOWN),
        (answer(503, "overloaded"), BreakerEffect.OVERLOAD, LimiterEffect.COOLDOWN),
        (answer(429), BreakerEffect.IGNORED, LimiterEffect.LEARN),
        (answer(429, "rate_limit_exceeded"), BreakerEffect.IGNORED, LimiterEffect.LEARN),
        (answer(429, "overloaded"), BreakerEffect.IGNORED, LimiterEffect.LEARN),
        (answer(429, "requests_per_day"), BreakerEffect.IGNORED, LimiterEffect.COOLDOWN),
        (answer(429, "insufficient_quota"), BreakerEffect.EXHAUSTED, LimiterEffect.SETTLE),
        (answer(429, "credit_balance_exhausted"), BreakerEffect.EXHAUSTED, LimiterEffect.SETTLE),
        (answer(401), BreakerEffect.EXHAUSTED, LimiterEffect.SETTLE),
        (answer(402), BreakerEffect.EXHAUSTED, LimiterEffect.SETTLE),
        (answer(403), BreakerEffect.EXHAUSTED, LimiterEffect.SETTLE),
        (answer(400), BreakerEffect.IGNORED, LimiterEffect.SETTLE),
        (answer(400, "context_length_exceeded"), BreakerEffect.IGNORED, LimiterEffect.SETTLE),
        (answer(400, "content_policy_violation"), BreakerEffect.IGNORED, LimiterEffect.SETTLE),
        (answer(404), BreakerEffect.IGNORED, LimiterEffect.SETTLE),
        (answer(409, "lock_timeout"), BreakerEffect.IGNORED, LimiterEffect.SETTLE),
        (answer(413), BreakerEffect.IGNORED, LimiterEffect.SETTLE),
        (answer(422), BreakerEffect.IGNORED, LimiterEffect.SETTLE),
    ],
)
def test_each_end_has_its_effects(
    end: CallEnd, breaker: BreakerEffect, limiter: LimiterEffect
) -> None:
    effects = effects_of(end)
    assert (effects.breaker, effects.limiter) == (breaker, limiter)


def test_a_call_that_the_client_gave_up_tells_nothing() -> None:
    assert effects_of(None).breaker is BreakerEffect.IGNORED


def test_a_call_that_ran_out_of_its_requests_time_tells_nothing() -> None:
    assert effects_of(broken(Break.TOTAL_TIMEOUT), overdue=True).breaker is BreakerEffect.IGNORED
    assert effects_of(answer(500), overdue=True).breaker is BreakerEffect.FAILURE


@pytest.mark.parametrize("advice", ["true", "false"])
def test_advice_on_repeating_says_nothing_of_health(advice: str) -> None:
    assert effects_of(answer(500, x_should_retry=advice)).breaker is BreakerEffect.FAILURE
    assert effects_of(answer(400, x_should_retry=advice)).breaker is BreakerEffect.IGNORED
    assert effects_of(answer(429, x_should_retry=advice)).limiter is LimiterEffect.LEARN


@given(
    status=st.integers(100, 999),
    body=st.binary(max_size=60),
    broken=st.none() | st.sampled_from(Break),
)
def test_every_end_has_effects_and_a_probe_its_end(
    status: int, body: bytes, broken: Break | None
) -> None:
    effects = effects_of(CallEnd(status=status, body=body, broken=broken))
    assert effects.breaker in PROBE_ENDS


@given(body=st.binary(max_size=60))
def test_no_429_is_a_failure(body: bytes) -> None:
    breaker = effects_of(CallEnd(status=429, body=body)).breaker
    assert breaker in (BreakerEffect.IGNORED, BreakerEffect.EXHAUSTED)
