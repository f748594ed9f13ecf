"""Reading HTTP requests without a socket."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from headrace.cli.mock.reading import HttpRequest, RequestReader

TWO = (
    b"POST /a?b=c HTTP/1.1\r\nHost: x\r\nX-Mock-Script: status=500\r\nContent-Length: 3\r\n\r\nabc"
    b"GET /health HTTP/1.0\r\n\r\n"
)


def read_in_parts(received: bytes, cuts: list[int]) -> list[HttpRequest]:
    """Feed `received` cut at these places."""
    reader, places = RequestReader(1000), sorted({0, len(received), *cuts})
    return [
        request for start, end in pairwise(places) for request in reader.feed(received[start:end])
    ]


@given(st.lists(st.integers(0, len(TWO)), max_size=8))
def test_requests_are_the_same_however_their_bytes_arrive(cuts: list[int]) -> None:
    first, second = read_in_parts(TWO, cuts)
    assert (first.method, first.target, first.body) == ("POST", b"/a?b=c", b"abc")
    assert first.headers["x-mock-script"] == "status=500"
    assert (first.keep_alive, first.chunked) == (True, True)
    assert (second.method, second.target, second.chunked) == ("GET", b"/health", False)


def test_a_body_above_the_bound_is_refused_before_its_end() -> None:
    reader = RequestReader(max_body_bytes=10)
    reader.feed(b"POST / HTTP/1.1\r\nContent-Length: 1000000\r\n\r\n")
    (refused,) = reader.feed(b"x" * 11)
    assert refused.refused == 413
    assert reader.feed(b"x" * 100) == []


def test_headers_without_end_are_refused() -> None:
    reader = RequestReader(10)
    requests = reader.feed(b"GET / HTTP/1.1\r\n" + b"a: " + b"x" * 70_000 + b"\r\n\r\n")
    assert [request.refused for request in requests] == [431]


def test_a_client_that_waits_for_100_is_noticed() -> None:
    reader = RequestReader(10)
    reader.feed(b"POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n")
    assert reader.expects_continue
    reader.feed(b"x")
    assert not reader.expects_continue


def test_an_offer_of_another_protocol_is_not_taken() -> None:
    reader = RequestReader(10)
    (request,) = reader.feed(b"GET /health HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n")
    assert (request.target, request.refused) == (b"/health", 0)


@given(st.binary(max_size=300))
def test_any_bytes_are_read_without_an_exception(received: bytes) -> None:
    RequestReader(100).feed(received)
