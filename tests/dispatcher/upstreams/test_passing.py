"""Headers to an upstream and back."""

import pytest

from headrace.dispatcher.upstreams.passing import MAX_KEPT, id_header, kept, traceparent_header


def test_only_listed_headers_come_back_by_lower_case_name() -> None:
    headers = [("Retry-After", "1"), ("Set-Cookie", "a=b"), ("X-RateLimit-Reset-Tokens", "6m0s")]
    assert kept(headers) == {"retry-after": "1", "x-ratelimit-reset-tokens": "6m0s"}


def test_odd_values_are_left_out() -> None:
    assert kept([("retry-after", "\udcff"), ("x-should-retry", "x" * 2_000)]) == {}


def test_the_number_of_headers_is_bounded() -> None:
    assert len(kept((f"x-ratelimit-{n}", "1") for n in range(100))) == MAX_KEPT


@pytest.mark.parametrize(
    ("request_id", "header"),
    [("0199-ab", "0199-ab"), ("a\r\nx: y", "a%0D%0Ax%3A%20y"), ("Mühle", "M%C3%BChle")],
)
def test_an_id_never_breaks_a_header(request_id: str, header: str) -> None:
    assert id_header(request_id) == header


@pytest.mark.parametrize("bad", [b"", b"00-x", b"\r\nevil: 1", b"\xff" * 55])
def test_a_malformed_trace_context_is_not_passed_on(bad: bytes) -> None:
    assert traceparent_header(bad) == ""


def test_a_trace_context_is_passed_on() -> None:
    good = b"00-" + b"a" * 32 + b"-" + b"b" * 16 + b"-01"
    assert traceparent_header(good) == good.decode()
