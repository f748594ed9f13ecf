"""The retry table of the design, one line a row and signal: what happens after which end of a call.

`alone`: no other deployment serves the model. `moved`: one does, to which the request was not sent.
Waits are in ms, with the dice at one half; the request is at its first attempt.
"""

import json
from typing import NamedTuple

import msgspec
import pytest

from headrace.dispatcher.policy.retry import RetryPolicy, Tried, after_call
from headrace.dispatcher.policy.signals import Signal
from headrace.dispatcher.ports import Break, CallEnd
from headrace.dispatcher.verdicts import After, DeadLetter, Expire, Fail, Retry, Settle
from headrace.schemas.errors import Code
from headrace.schemas.names import Ambiguous, Outcome

NOW_MS = 1_790_000_000_000
HOUR_MS = 3_600_000
DEADLINE_MS = NOW_MS + HOUR_MS
FAILED = Settle(Outcome.FAILED)
BARRED_FOR_GOOD = DEADLINE_MS - NOW_MS


def answer(status: int, code: str = "", message: str = "", **headers: str) -> CallEnd:
    """An error answer; header names with `_` for `-`."""
    error = {"error": {"message": message, "type": "", "param": None, "code": code}}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return CallEnd(status=status, body=json.dumps(error).encode(), headers=named)


def event(code: str, forwarded: int = 0) -> CallEnd:
    """A 200 stream with an error event."""
    error = json.dumps({"code": code}).encode()
    status = {"server_error": 500, "slow_down": 503, "invalid_request_error": 400}[code]
    return CallEnd(status=status, stream_error=error, forwarded=forwarded)


def counted(signal: Signal, wait_ms: int = 250) -> Retry:
    """A repeat that uses up an attempt."""
    return Retry(NOW_MS + wait_ms, signal, counted=True)


def moves(signal: Signal, wait_ms: int = 250, barred: int = 0) -> Retry:
    """The same, to another deployment; this one asked to be left alone for `barred` ms."""
    return Retry(NOW_MS + wait_ms, signal, counted=True, elsewhere=True, barred_ms=NOW_MS + barred)


def defers(wait_ms: int, signal: Signal = Signal.THROTTLE) -> Retry:
    """No attempt, and nothing out of the budget."""
    return Retry(NOW_MS + wait_ms, signal, counted=False, budgeted=False)


def leaves(barred: int, signal: Signal = Signal.THROTTLE) -> Retry:
    """To another deployment at once."""
    return Retry(
        NOW_MS, signal, counted=False, elsewhere=True, barred_ms=NOW_MS + barred, budgeted=False
    )


class Row(NamedTuple):
    """One line of the table."""

    name: str
    end: CallEnd
    alone: After
    moved: After


def same(name: str, end: CallEnd, verdict: After) -> Row:
    """A line where another deployment makes no difference."""
    return Row(name, end, verdict, verdict)


def transient(name: str, end: CallEnd) -> Row:
    """A line of the transient class without a wish of the upstream's."""
    return Row(name, end, counted(Signal.TRANSIENT), moves(Signal.TRANSIENT))


def refused(name: str, end: CallEnd) -> Row:
    """A line of a credential that is worth nothing."""
    move = moves(Signal.CREDENTIAL, 0, BARRED_FOR_GOOD)
    return Row(name, end, FAILED, move)


def throttle(name: str, end: CallEnd, wait_ms: int, signal: Signal = Signal.THROTTLE) -> Row:
    """A line of an upstream that asks for time."""
    return Row(name, end, defers(wait_ms, signal), leaves(wait_ms, signal))


DAY_LEFT = {"x_ratelimit_remaining_requests": "0", "x_ratelimit_reset_requests": "30m"}
BIG = "1000000000"
PAST = "Mon, 21 Sep 2026 13:13:20 GMT"
TOO_LATE = Expire("no time is left for another call; the last ended with status 429", pass_on=True)

TABLE = [
    Row(
        "connect error, reset before it was sent",
        CallEnd(broken=Break.NOT_SENT),
        Retry(NOW_MS, Signal.NOT_SENT, counted=False),
        Retry(NOW_MS, Signal.NOT_SENT, counted=False, elsewhere=True),
    ),
    Row(
        "reset after send, nothing back",
        CallEnd(broken=Break.NO_ANSWER),
        counted(Signal.AMBIGUOUS),
        moves(Signal.AMBIGUOUS),
    ),
    same(
        "cut, since its seat was lost",
        CallEnd(broken=Break.SEAT_LOST),
        Retry(NOW_MS, Signal.CUT, counted=False, budgeted=False),
    ),
    transient("first-byte timeout", CallEnd(broken=Break.FIRST_BYTE_TIMEOUT)),
    transient("stall before a chunk went out", CallEnd(broken=Break.STALL, status=200)),
    transient("total timeout", CallEnd(broken=Break.TOTAL_TIMEOUT)),
    Row(
        "stream broke, nothing was forwarded",
        CallEnd(broken=Break.STREAM_BROKEN, status=200),
        counted(Signal.PARTIAL),
        moves(Signal.PARTIAL),
    ),
    transient("error event 500 in a 200 stream", event("server_error")),
    throttle("error event slow_down in a 200 stream", event("slow_down"), 750),
    same("error event 400 in a 200 stream", event("invalid_request_error"), FAILED),
    same("error event after a chunk", event("server_error", forwarded=1), FAILED),
    transient("408", answer(408)),
    transient("409 lock", answer(409, "lock_timeout")),
    same("409 other", answer(409, "already_exists"), FAILED),
    transient("425", answer(425)),
    transient("500", answer(500)),
    transient("502", answer(502)),
    transient("503", answer(503)),
    transient("504", answer(504)),
    Row(
        "503 with Retry-After",
        answer(503, retry_after="9"),
        counted(Signal.TRANSIENT, 9_000),
        moves(Signal.TRANSIENT, 250, 9_000),
    ),
    throttle("529", answer(529), 750),
    throttle("529 with Retry-After", answer(529, retry_after="11"), 11_000),
    throttle("503 overloaded", answer(503, "overloaded_error"), 750),
    throttle("503 slow_down", answer(503, "slow_down"), 750),
    throttle("429", answer(429), 750),
    throttle("429 Retry-After in seconds", answer(429, retry_after="7"), 7_000),
    throttle("429 Retry-After with a fraction", answer(429, retry_after="1.25"), 1_250),
    throttle("429 retry-after-ms", answer(429, retry_after_ms="1500", retry_after="9"), 1_500),
    throttle("429 Retry-After, a date that has passed", answer(429, retry_after=PAST), 750),
    throttle(
        "429 Retry-After as a date ahead",
        answer(429, retry_after="Mon, 21 Sep 2026 14:13:30 GMT"),
        10_000,
    ),
    throttle("429 Retry-After that is garbage", answer(429, retry_after="soon"), 750),
    throttle("429 Retry-After below zero", answer(429, retry_after="-1"), 750),
    Row(
        "429 Retry-After of 10^9 is a day, beyond the deadline",
        answer(429, retry_after=BIG),
        TOO_LATE,
        leaves(86_400_000),
    ),
    throttle("429 daily quota", answer(429, message="per day"), 90_000, Signal.QUOTA),
    throttle(
        "429 daily quota that tells its reset",
        answer(429, "quota_exceeded", **DAY_LEFT),
        1_800_000,
        Signal.QUOTA,
    ),
    refused("429 billing", answer(429, "insufficient_quota")),
    refused("429 balance", answer(429, "insufficient_balance")),
    refused("402", answer(402)),
    refused("401", answer(401)),
    refused("403", answer(403)),
    same("400", answer(400), FAILED),
    same("400 context length", answer(400, "context_length_exceeded"), FAILED),
    same("400 content policy", answer(400, "content_policy_violation"), FAILED),
    same("404", answer(404), FAILED),
    same("413", answer(413), FAILED),
    same("422", answer(422), FAILED),
    same("500 with x-should-retry false", answer(500, x_should_retry="false"), FAILED),
    same("429 with x-should-retry false", answer(429, x_should_retry="false"), FAILED),
    transient("400 with x-should-retry true", answer(400, x_should_retry="true")),
    same("200", CallEnd(status=200), Settle(Outcome.COMPLETED)),
]


def verdict(end: CallEnd, *, elsewhere: bool, left_ms: int = HOUR_MS, **more: int) -> After:
    """The verdict on a first attempt."""
    tried = Tried(attempt=1, history=(), deadline_ms=NOW_MS + left_ms)
    return after_call(end, tried, NOW_MS, RetryPolicy(), 0.5, elsewhere=elsewhere, **more)


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
def test_the_table_holds_with_one_deployment(row: Row) -> None:
    assert verdict(row.end, elsewhere=False) == row.alone


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
def test_the_table_holds_with_another_deployment(row: Row) -> None:
    assert verdict(row.end, elsewhere=True) == row.moved


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
def test_nothing_is_repeated_once_a_byte_was_forwarded(row: Row) -> None:
    forwarded = msgspec.structs.replace(row.end, forwarded=1)
    assert isinstance(verdict(forwarded, elsewhere=True), Settle | Fail)


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
def test_nothing_is_waited_for_that_would_come_after_the_deadline(row: Row) -> None:
    for elsewhere in (False, True):
        given = verdict(row.end, elsewhere=elsewhere, left_ms=999, service_ms=1_000)
        assert isinstance(given, Expire | Settle)


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
def test_an_empty_budget_puts_off_what_failed_and_gives_nothing_up(row: Row) -> None:
    for elsewhere in (False, True):
        free = verdict(row.end, elsewhere=elsewhere)
        held = verdict(row.end, elsewhere=elsewhere, credit_ms=60_000)
        if isinstance(free, Retry) and free.budgeted:
            assert isinstance(held, Retry)
            assert held.due_ms == max(free.due_ms, NOW_MS + 60_000)
        else:
            assert held == free


def test_a_wait_beyond_the_deadline_becomes_a_call_elsewhere_now() -> None:
    end = answer(500)
    assert verdict(end, elsewhere=True, left_ms=200) == moves(Signal.TRANSIENT, 0)
    assert isinstance(verdict(end, elsewhere=False, left_ms=200), Expire)


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
@pytest.mark.parametrize("wish", [Ambiguous.FAIL, Ambiguous.PARK])
def test_what_may_have_run_is_not_repeated_where_the_request_says_so(
    row: Row, wish: Ambiguous
) -> None:
    tried = Tried(attempt=1, history=(), deadline_ms=DEADLINE_MS, ambiguous=wish)
    given = after_call(row.end, tried, NOW_MS, RetryPolicy(), 0.5)
    if row.end.broken in (None, Break.NOT_SENT):
        assert given == row.alone
    else:
        assert isinstance(given, Fail if wish is Ambiguous.FAIL else DeadLetter)
        assert given.code is Code.AMBIGUOUS_CALL
