"""What becomes of a request after a call."""

from dataclasses import replace

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.dispatcher.policy.retry import HEARD_MS, RetryPolicy, Tried, after_call, attempt_of
from headrace.dispatcher.policy.signals import Signal
from headrace.dispatcher.ports import Break, CallEnd
from headrace.dispatcher.verdicts import After, DeadLetter, Expire, Fail, Reason, Retry, Settle
from headrace.schemas.errors import Code
from headrace.schemas.names import DeploymentName, Outcome
from headrace.schemas.records import Attempt

NOW_MS = 1_790_000_000_000
HOUR_MS = 3_600_000
POLICY = RetryPolicy()
FIRST = Tried(attempt=1, history=(), deadline_ms=NOW_MS + HOUR_MS)
EAST = DeploymentName("east")

BILLING = b'{"error":{"code":"insufficient_quota"}}'
SERVER_ERROR = CallEnd(status=500, body=b'{"error":{"code":"oops"}}')
THROTTLED = CallEnd(status=429, headers={"retry-after": "7"})


def after(end: CallEnd, tried: Tried = FIRST, **more: bool | int) -> After:
    """The verdict with the dice at one half."""
    return after_call(
        end,
        tried,
        NOW_MS,
        POLICY,
        0.5,
        service_ms=int(more.get("service_ms", 0)),
        elsewhere=bool(more.get("elsewhere", False)),
        outage=bool(more.get("outage", False)),
        unproven=bool(more.get("unproven", False)),
    )


def throttled(wait_ms: int, signal: Signal = Signal.THROTTLE) -> Retry:
    """The retry that waits as it was asked to: no attempt, and nothing out of the budget."""
    return Retry(NOW_MS + wait_ms, signal, counted=False, budgeted=False)


def again(tried: Tried, end: CallEnd, verdict: After) -> Tried:
    """What was tried once `end` is written down."""
    line = attempt_of(end, verdict, number=tried.attempt, at_ms=NOW_MS, deployment=EAST)
    return replace(tried, attempt=tried.attempt + 1, history=(*tried.history, line))


def test_a_good_answer_settles() -> None:
    assert after(CallEnd(status=200)) == Settle(Outcome.COMPLETED)


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 413, 422, 301])
def test_an_error_of_the_request_settles_as_failed(status: int) -> None:
    assert after(CallEnd(status=status)) == Settle(Outcome.FAILED)


def test_a_billing_429_settles_as_failed() -> None:
    assert after(CallEnd(status=429, body=BILLING)) == Settle(Outcome.FAILED)


@pytest.mark.parametrize("end", [CallEnd(status=401), CallEnd(status=429, body=BILLING)])
def test_a_spent_credential_moves_to_another_deployment_at_once(end: CallEnd) -> None:
    assert after(end, elsewhere=True) == Retry(
        NOW_MS, Signal.CREDENTIAL, counted=True, elsewhere=True, barred_ms=FIRST.deadline_ms
    )


def test_a_server_error_waits_and_counts() -> None:
    assert after(SERVER_ERROR) == Retry(NOW_MS + 250, Signal.TRANSIENT, counted=True)


def test_a_server_error_waits_as_long_as_it_asks() -> None:
    end = CallEnd(status=503, headers={"retry-after": "9"})
    assert after(end) == Retry(NOW_MS + 9_000, Signal.TRANSIENT, counted=True)


def test_the_third_failure_is_a_dead_letter_that_passes_the_answer_on() -> None:
    tried = FIRST
    for _ in range(2):
        verdict = after(SERVER_ERROR, tried)
        assert isinstance(verdict, Retry)
        tried = again(tried, SERVER_ERROR, verdict)
    verdict = after(SERVER_ERROR, tried)
    assert isinstance(verdict, DeadLetter)
    assert (verdict.reason, verdict.pass_on) == (Reason.ATTEMPTS_EXHAUSTED, True)
    assert verdict.message == "given up after 3 upstream calls; the last ended with status 500 oops"


@pytest.mark.parametrize(
    ("broken", "code"),
    [
        (Break.NOT_SENT, Code.UPSTREAM_UNREACHABLE),
        (Break.NO_ANSWER, Code.ATTEMPTS_EXHAUSTED),
        (Break.FIRST_BYTE_TIMEOUT, Code.UPSTREAM_TIMEOUT),
        (Break.STALL, Code.UPSTREAM_TIMEOUT),
        (Break.STREAM_BROKEN, Code.UPSTREAM_STREAM_BROKEN),
    ],
)
def test_a_broken_last_attempt_has_nothing_to_pass_on(broken: Break, code: Code) -> None:
    spent = tuple(Attempt(n, NOW_MS, EAST, 0, broken.value) for n in (1, 2))
    verdict = after(CallEnd(broken=broken), replace(FIRST, attempt=3, history=spent))
    assert isinstance(verdict, DeadLetter)
    assert (verdict.code, verdict.pass_on) == (code, False)


def test_a_failure_in_an_outage_is_no_attempt_and_backs_off_all_the_same() -> None:
    tried, waits = FIRST, []
    for _ in range(5):
        verdict = after(SERVER_ERROR, tried, outage=True)
        assert isinstance(verdict, Retry)
        assert not verdict.counted
        waits.append(verdict.due_ms - NOW_MS)
        tried = again(tried, SERVER_ERROR, verdict)
    assert waits == sorted(set(waits))
    assert tried.failures == 0


def test_the_last_attempt_waits_for_the_breakers_word_where_nothing_has_worked_since() -> None:
    first = after(SERVER_ERROR, unproven=True)
    assert first == after(SERVER_ERROR), "one more attempt will be left"
    second = again(FIRST, SERVER_ERROR, first)
    assert after(SERVER_ERROR, second, unproven=True) == Retry(
        NOW_MS + HEARD_MS, Signal.TRANSIENT, counted=True
    )
    assert after(SERVER_ERROR, second) == Retry(NOW_MS + 500, Signal.TRANSIENT, counted=True)
    elsewhere = after(SERVER_ERROR, second, unproven=True, elsewhere=True)
    assert isinstance(elsewhere, Retry)
    assert elsewhere.due_ms == NOW_MS + 500, "another deployment has not failed"
    long_ago = msgspec.structs.replace(second.history[0], at_ms=NOW_MS - HEARD_MS)
    waited = replace(second, history=(long_ago,))
    assert after(SERVER_ERROR, waited, unproven=True) == after(SERVER_ERROR, waited)


def test_a_throttled_call_waits_as_asked_and_does_not_count() -> None:
    assert after(THROTTLED) == throttled(7_000)


def test_throttling_backs_off_when_nothing_is_asked() -> None:
    end, tried = CallEnd(status=429), FIRST
    waits = []
    for _ in range(4):
        verdict = after(end, tried)
        assert isinstance(verdict, Retry)
        waits.append(verdict.due_ms - NOW_MS)
        tried = again(tried, end, verdict)
    assert waits == [750, 1_500, 3_000, 6_000]


def test_a_throttled_call_moves_to_a_free_deployment_at_once() -> None:
    verdict = after(THROTTLED, elsewhere=True)
    assert verdict == Retry(
        NOW_MS,
        Signal.THROTTLE,
        counted=False,
        elsewhere=True,
        barred_ms=NOW_MS + 7_000,
        budgeted=False,
    )


def test_a_spent_daily_quota_is_asked_rarely() -> None:
    end = CallEnd(status=429, body=b'{"error":{"message":"tokens per day (TPD)"}}')
    assert after(end) == throttled(90_000, Signal.QUOTA)


def test_a_call_that_was_not_sent_is_sent_again_at_once_the_first_time_only() -> None:
    end = CallEnd(broken=Break.NOT_SENT)
    first = after(end)
    assert first == Retry(NOW_MS, Signal.NOT_SENT, counted=False)
    second = after(end, again(FIRST, end, first))
    assert second == Retry(NOW_MS + 250, Signal.NOT_SENT, counted=True)


def test_an_ambiguous_call_is_repeated_and_tagged() -> None:
    verdict = after(CallEnd(broken=Break.NO_ANSWER))
    assert verdict == Retry(NOW_MS + 250, Signal.AMBIGUOUS, counted=True)


def test_a_call_lost_in_a_crash_does_not_lengthen_the_next_throttle() -> None:
    lost = Attempt(1, NOW_MS, DeploymentName(""), 0, "lost_in_crash", counted=False)
    verdict = after(CallEnd(status=429), replace(FIRST, attempt=2, history=(lost,)))
    assert verdict == throttled(750)


def test_an_answer_above_the_bound_fails() -> None:
    verdict = after(CallEnd(status=200, broken=Break.TOO_LARGE))
    assert isinstance(verdict, Fail)
    assert verdict.code is Code.RESPONSE_TOO_LARGE


@pytest.mark.parametrize("broken", [Break.STREAM_BROKEN, Break.STALL, Break.TOTAL_TIMEOUT])
def test_a_stream_that_breaks_after_a_chunk_fails(broken: Break) -> None:
    verdict = after(CallEnd(status=200, broken=broken, forwarded=1))
    assert isinstance(verdict, Fail)
    assert verdict.code is Code.UPSTREAM_STREAM_BROKEN


def test_a_stream_cut_by_its_deadline_expires() -> None:
    end = CallEnd(status=200, broken=Break.TOTAL_TIMEOUT, forwarded=3)
    verdict = after(end, replace(FIRST, deadline_ms=NOW_MS))
    assert isinstance(verdict, Expire)
    assert not verdict.pass_on


def test_an_error_event_after_a_chunk_is_the_answer() -> None:
    end = CallEnd(status=500, stream_error=b'{"type":"server_error"}', forwarded=2)
    assert after(end) == Settle(Outcome.FAILED)


def test_an_error_event_before_any_chunk_is_repeated() -> None:
    end = CallEnd(status=500, stream_error=b'{"type":"server_error"}')
    assert after(end) == Retry(NOW_MS + 250, Signal.TRANSIENT, counted=True)


@pytest.mark.parametrize(("left_ms", "fits"), [(7_000, True), (6_999, False)])
def test_a_wait_beyond_the_deadline_is_not_begun(left_ms: int, fits: bool) -> None:
    verdict = after(THROTTLED, replace(FIRST, deadline_ms=NOW_MS + left_ms))
    assert isinstance(verdict, Retry if fits else Expire)


def test_a_wait_that_leaves_no_time_for_an_answer_is_not_begun() -> None:
    tried = replace(FIRST, deadline_ms=NOW_MS + 10_000)
    verdict = after(THROTTLED, tried, service_ms=3_001)
    assert verdict == Expire(
        "no time is left for another call; the last ended with status 429", pass_on=True
    )


def test_throttling_without_end_becomes_a_dead_letter() -> None:
    verdict = after(THROTTLED, replace(FIRST, attempt=POLICY.uncounted + 1))
    assert isinstance(verdict, DeadLetter)
    assert verdict.pass_on


def test_a_policy_without_attempts_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        RetryPolicy(attempts=0)


ends = st.builds(
    CallEnd,
    status=st.sampled_from([0, 200, 400, 401, 408, 409, 429, 500, 503, 529]),
    broken=st.none() | st.sampled_from(Break),
    forwarded=st.integers(0, 2),
    headers=st.fixed_dictionaries(
        {}, optional={"retry-after": st.sampled_from(["1", "3600", "x"])}
    ),
    stream_error=st.sampled_from([b"", b'{"code":"slow_down"}']),
)
rolls = st.floats(min_value=0, max_value=1, exclude_max=True)


@given(end=ends, roll=rolls, left_ms=st.integers(-10_000, HOUR_MS), elsewhere=st.booleans())
def test_nothing_is_repeated_after_a_chunk_or_beyond_the_deadline(
    end: CallEnd, roll: float, left_ms: int, elsewhere: bool
) -> None:
    tried = replace(FIRST, deadline_ms=NOW_MS + left_ms)
    verdict = after_call(end, tried, NOW_MS, POLICY, roll, elsewhere=elsewhere)
    if isinstance(verdict, Retry):
        assert end.forwarded == 0
        assert NOW_MS <= verdict.due_ms <= tried.deadline_ms


@given(roll=rolls, asked_s=st.integers(0, 3_600), status=st.sampled_from([429, 503, 529, 500]))
def test_a_retry_is_never_earlier_than_the_upstream_asked(
    roll: float, asked_s: int, status: int
) -> None:
    end = CallEnd(status=status, headers={"retry-after": str(asked_s)})
    verdict = after_call(end, FIRST, NOW_MS, POLICY, roll)
    assert isinstance(verdict, Retry)
    assert verdict.due_ms >= NOW_MS + asked_s * 1000


@given(st.lists(ends, min_size=20, max_size=20), st.integers(1, 5), st.integers(0, 6), st.data())
def test_the_number_of_calls_is_bounded(
    script: list[CallEnd], attempts: int, uncounted: int, draw: st.DataObject
) -> None:
    policy = RetryPolicy(attempts=attempts, uncounted=uncounted)
    tried = replace(FIRST, deadline_ms=NOW_MS + 10**12)
    for end in script:
        verdict = after_call(end, tried, NOW_MS, policy, 0.5, elsewhere=draw.draw(st.booleans()))
        if not isinstance(verdict, Retry):
            break
        tried = again(tried, end, verdict)
    assert tried.failures <= attempts
    assert tried.attempt <= attempts + uncounted
