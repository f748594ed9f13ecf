"""Unpacking within a bound."""

import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.dispatcher.upstreams.inflate import Inflater, TooLarge, Undecodable


@given(body=st.binary(max_size=2_000), step=st.integers(1, 50), encoding=st.sampled_from("gd"))
def test_any_split_unpacks_to_the_same(body: bytes, step: int, encoding: str) -> None:
    packed = gzip.compress(body) if encoding == "g" else zlib.compress(body)
    inflater = Inflater("gzip" if encoding == "g" else "deflate", 2_000)
    out = b"".join(inflater.feed(packed[i : i + step]) for i in range(0, len(packed), step))
    inflater.end()
    assert out == body


def test_members_follow_each_other() -> None:
    assert Inflater("gzip", 10).feed(gzip.compress(b"ab") + gzip.compress(b"cd")) == b"abcd"


def test_a_bomb_is_cut_at_the_bound() -> None:
    bomb = gzip.compress(bytes(10_000_000))
    inflater = Inflater("gzip", 1_000_000)
    with pytest.raises(TooLarge):
        inflater.feed(bomb)


def test_an_answer_of_exactly_the_bound_passes() -> None:
    assert len(Inflater("gzip", 1_000).feed(gzip.compress(bytes(1_000)))) == 1_000


def test_damaged_bytes_are_undecodable() -> None:
    with pytest.raises(Undecodable):
        Inflater("gzip", 100).feed(b"no gzip at all")


def test_an_early_end_is_undecodable() -> None:
    inflater = Inflater("gzip", 100)
    inflater.feed(gzip.compress(b"abc")[:-1])
    with pytest.raises(Undecodable):
        inflater.end()


def test_an_encoding_that_was_not_offered_is_undecodable() -> None:
    with pytest.raises(Undecodable):
        Inflater("br", 100)
