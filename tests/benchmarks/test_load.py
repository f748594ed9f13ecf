"""The pure parts of the load generator."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.load.arrivals import poisson
from benchmarks.load.jobs import Target, quantiles
from benchmarks.load.tokens import TokenCount
from benchmarks.upstream.answers import last_events, token_event


def test_the_same_seed_gives_the_same_arrivals() -> None:
    assert list(poisson(100, 2, seed=7)) == list(poisson(100, 2, seed=7))
    assert list(poisson(100, 2, seed=7)) != list(poisson(100, 2, seed=8))


def test_arrivals_ascend_within_the_window_at_the_rate_asked_for() -> None:
    due = list(poisson(1000, 10, seed=1))
    assert all(a < b for a, b in itertools.pairwise(due))
    assert due[0] > 0
    assert due[-1] < 10
    assert len(due) == pytest.approx(10_000, rel=0.05)


def test_poisson_gaps_spread_as_exponential_ones_do() -> None:
    due = list(poisson(1000, 10, seed=1))
    gaps = [b - a for a, b in itertools.pairwise(due)]
    assert sum(gap > 0.001 for gap in gaps) / len(gaps) == pytest.approx(0.368, abs=0.03)


def test_quantiles_are_values_that_were_seen() -> None:
    found = quantiles([5.0, 1.0, 3.0, 2.0, 4.0])
    assert found is not None
    assert (found.count, found.p50, found.p99) == (5, 3.0, 5.0)
    assert (found.curve[0], found.curve[100]) == (1.0, 5.0)


def test_there_are_no_quantiles_of_nothing() -> None:
    assert quantiles([]) is None


def test_a_request_declares_the_length_of_its_body_in_bytes() -> None:
    head, _, body = Target(80, "/v1/x", '{"a":"é"}', "key").request().partition(b"\r\n\r\n")
    assert body == '{"a":"é"}'.encode()
    assert b"content-length: 10\r\n" in head + b"\r\n"
    assert b"authorization: Bearer key\r\n" in head


@given(cuts=st.lists(st.integers(0, 700), max_size=8))
def test_tokens_are_counted_wherever_the_bytes_are_cut(cuts: list[int]) -> None:
    stream = token_event(11) + b": a comment\n\n" + token_event(22) + last_events()
    edges = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    count = TokenCount()
    sent = [ns for a, b in itertools.pairwise(edges) for ns in count.feed(stream[a:b])]
    assert sent == [11, 22]
    assert count.tokens == 2
    assert count.done


def test_a_stream_without_its_end_is_not_done() -> None:
    count = TokenCount()
    count.feed(token_event(1))
    assert not count.done
