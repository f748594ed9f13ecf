"""The classes of ends, row by row of the retry table."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.dispatcher.policy.error_object import MAX_READ_BYTES, ErrorWords, read_body
from headrace.dispatcher.policy.signals import Signal, classify, code_of
from headrace.dispatcher.ports import Break, CallEnd


def answer(status: int, code: str = "", kind: str = "", message: str = "") -> CallEnd:
    """An error answer in OpenAI's shape."""
    error = f'{{"error":{{"message":"{message}","type":"{kind}","param":null,"code":"{code}"}}}}'
    return CallEnd(status=status, body=error.encode())


@pytest.mark.parametrize(
    ("end", "signal"),
    [
        (CallEnd(status=200), Signal.COMPLETE),
        (CallEnd(status=204), Signal.COMPLETE),
        (CallEnd(status=307), Signal.TERMINAL),
        (answer(400), Signal.TERMINAL),
        (answer(400, "context_length_exceeded"), Signal.TERMINAL),
        (answer(400, "content_policy_violation"), Signal.TERMINAL),
        (answer(401), Signal.CREDENTIAL),
        (answer(402), Signal.CREDENTIAL),
        (answer(403), Signal.CREDENTIAL),
        (answer(404), Signal.TERMINAL),
        (answer(408), Signal.TRANSIENT),
        (answer(409, "lock_timeout"), Signal.TRANSIENT),
        (answer(409, "already_exists"), Signal.TERMINAL),
        (answer(409, "blocked"), Signal.TERMINAL),
        (answer(413), Signal.TERMINAL),
        (answer(422), Signal.TERMINAL),
        (answer(425), Signal.TRANSIENT),
        (answer(429), Signal.THROTTLE),
        (answer(429, "rate_limit_exceeded", "requests"), Signal.THROTTLE),
        (answer(429, "insufficient_quota", "insufficient_quota"), Signal.CREDENTIAL),
        (answer(429, "credit_balance_exhausted"), Signal.CREDENTIAL),
        (answer(429, "billing_hard_limit_reached"), Signal.CREDENTIAL),
        (answer(429, message="Limit on requests per day (RPD)"), Signal.QUOTA),
        (answer(500), Signal.TRANSIENT),
        (answer(501), Signal.TERMINAL),
        (answer(502), Signal.TRANSIENT),
        (answer(503), Signal.TRANSIENT),
        (answer(503, "slow_down"), Signal.THROTTLE),
        (answer(503, message="The engine is currently overloaded"), Signal.THROTTLE),
        (answer(504), Signal.TRANSIENT),
        (answer(520), Signal.TRANSIENT),
        (answer(529, kind="overloaded_error"), Signal.THROTTLE),
        (CallEnd(broken=Break.NOT_SENT), Signal.NOT_SENT),
        (CallEnd(broken=Break.NO_ANSWER), Signal.AMBIGUOUS),
        (CallEnd(broken=Break.FIRST_BYTE_TIMEOUT), Signal.TRANSIENT),
        (CallEnd(broken=Break.STALL, status=200), Signal.TRANSIENT),
        (CallEnd(broken=Break.TOTAL_TIMEOUT), Signal.TRANSIENT),
        (CallEnd(broken=Break.STREAM_BROKEN, status=200), Signal.PARTIAL),
        (CallEnd(broken=Break.TOO_LARGE, status=200), Signal.TOO_LARGE),
    ],
)
def test_each_end_has_its_class(end: CallEnd, signal: Signal) -> None:
    assert classify(end) is signal


@pytest.mark.parametrize(
    ("status", "advice", "signal"),
    [
        (400, "true", Signal.TRANSIENT),
        (401, "true", Signal.TRANSIENT),
        (500, "false", Signal.TERMINAL),
        (429, "false", Signal.TERMINAL),
        (401, "false", Signal.CREDENTIAL),
        (500, "maybe", Signal.TRANSIENT),
        (200, "true", Signal.COMPLETE),
    ],
)
def test_x_should_retry_is_obeyed(status: int, advice: str, signal: Signal) -> None:
    assert classify(CallEnd(status=status, headers={"x-should-retry": advice})) is signal


def test_an_error_event_in_a_stream_counts_as_its_status() -> None:
    end = CallEnd(status=529, stream_error=b'{"type":"overloaded_error"}', body=b"data: ...\n\n")
    assert classify(end) is Signal.THROTTLE
    assert code_of(end) == "overloaded_error"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b'{"error":{"code":"a","type":"b"}}', "a"),
        (b'{"error":{"code":null,"type":"b"}}', "b"),
        (b'{"type":"error","error":{"type":"overloaded_error"}}', "overloaded_error"),
        (b'{"object":"error","code":400,"type":"BadRequest"}', "400"),
        (b'[{"error":{"code":429,"status":"RESOURCE_EXHAUSTED"}}]', "429"),
        (b'{"error":{"code":"Bad Code\\u0000 with text"}}', "bad_code__with_text"),
        (b'{"error":"overloaded"}', ""),
        (b"<html>", ""),
        (b"[]", ""),
        (b'{"error":{"code":{"deep":1}}}', ""),
        (b"[" * 100_000, ""),
        (b'{"error":{"code":"a"}}' + b" " * MAX_READ_BYTES, ""),
    ],
)
def test_error_objects_are_read_in_every_form_seen(body: bytes, code: str) -> None:
    assert code_of(CallEnd(status=400, body=body)) == code


@given(st.binary(max_size=200))
def test_reading_an_error_body_never_raises(body: bytes) -> None:
    assert isinstance(read_body(body), ErrorWords)


@given(
    status=st.integers(min_value=100, max_value=999),
    body=st.binary(max_size=60),
    broken=st.none() | st.sampled_from(Break),
)
def test_every_end_has_a_class(status: int, body: bytes, broken: Break | None) -> None:
    assert classify(CallEnd(status=status, body=body, broken=broken)) in Signal
