"""Events out of bytes."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.dispatcher.upstreams.sse import MAX_EVENT_BYTES, MAX_FEED_BYTES, EventReader

TOKEN = b'data: {"choices":[]}\n\n'
DONE = b"data: [DONE]\n\n"


def read(*pieces: bytes) -> tuple[bytes, EventReader]:
    """All that the reader gives for `pieces` and the end."""
    reader = EventReader()
    out = [reader.feed(piece) for piece in pieces]
    return b"".join((*out, reader.end())), reader


@pytest.mark.parametrize("eol", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize(
    "stream",
    [
        TOKEN + DONE,
        b": comment\n\n" + TOKEN + b": another\n" + TOKEN + DONE,
        b"\xef\xbb\xbf" + TOKEN + DONE,
        b'event: chunk\nid: 1\ndata: {"choices":\ndata: []}\nretry: 3\n\n' + DONE,
        b'data:{"a":1}\n\ndata:[DONE]\n\n',
        b"\n\n\n" + TOKEN + b"\n" + DONE,
        b"data\n\ndata:\n\n" + DONE,
        b'data: {"text":"M\xc3\xbchle \xf0\x9f\x8c\x8a"}\n\n' + DONE,
        b'data: {"error":null}\n\ndata: {"error":{}}\n\n' + DONE,
    ],
)
def test_a_whole_stream_comes_out_unchanged(stream: bytes, eol: bytes) -> None:
    stream = stream.replace(b"\n", eol)
    out, reader = read(stream)
    assert (out, reader.ended, reader.fault, reader.error) == (stream, True, "", b"")


def test_an_event_comes_out_with_its_last_byte() -> None:
    reader = EventReader()
    assert reader.feed(TOKEN[:-1]) == b""
    assert reader.feed(TOKEN[-1:]) == TOKEN


def test_what_follows_the_end_mark_is_ignored() -> None:
    assert read(TOKEN + DONE + b"garbage\n\n")[0] == TOKEN + DONE


def test_an_end_mark_without_its_empty_line_counts() -> None:
    out, reader = read(TOKEN, b"data: [DONE]\n")
    assert (out, reader.ended) == (TOKEN + b"data: [DONE]\n", True)


def test_comments_alone_are_no_data() -> None:
    reader = EventReader()
    assert reader.feed(b": processing\n\n") == b": processing\n\n"
    assert not reader.has_data


@pytest.mark.parametrize(
    ("bad", "fault"),
    [
        (b'data: {"choices":[{"delta":\n\n', "not JSON"),
        (b"data: hello\n\n", "not JSON"),
        (b"data: [1]\n\n", "not JSON"),
        (b'data: {"a":' + b"[" * 50_000 + b"\n\n", "not JSON"),
        (b'data: {"a":"\xff\xfe"}\n\n', "not UTF-8"),
        (b": \xff\n\n", "not UTF-8"),
    ],
)
def test_a_bad_event_breaks_the_stream_after_the_good_ones(bad: bytes, fault: str) -> None:
    out, reader = read(TOKEN + bad + DONE)
    assert (out, reader.fault, reader.ended) == (TOKEN, fault, False)


@pytest.mark.parametrize(
    ("rest", "fault"),
    [(b"", "ended without [DONE]"), (TOKEN[:9], "ended inside an event")],
)
def test_a_stream_that_just_stops_is_broken(rest: bytes, fault: str) -> None:
    out, reader = read(TOKEN + rest)
    assert (out, reader.fault) == (TOKEN, fault)


def test_an_error_event_is_the_last_one() -> None:
    error = b'data: {"error":{"message":"no","code":"slow_down"}}\n\n'
    out, reader = read(TOKEN + error + DONE)
    assert out == TOKEN + error
    assert (reader.error, reader.ended) == (b'{"message":"no","code":"slow_down"}', False)


def test_an_endless_line_is_cut_off_and_forgotten() -> None:
    reader = EventReader()
    reader.feed(TOKEN + b'data: "')
    fed = 0
    while not reader.fault:
        reader.feed(b"x" * MAX_FEED_BYTES)
        fed += MAX_FEED_BYTES
    assert reader.fault == "an event is too long"
    assert fed <= MAX_EVENT_BYTES + MAX_FEED_BYTES
    assert not reader._rest


lines = st.sampled_from(
    [
        *(b'data: {"a":"b"}', b"data: {", b"data: }", b"data:", b": c", b"", b"", b"event: x"),
        *(b'data: {"error":{"code":1}}', b"data: [DONE]", b'data: {"a":"\xff"}', b"\xef\xbb\xbf"),
    ]
)
streams = st.lists(st.tuples(lines, st.sampled_from([b"\n", b"\r\n", b"\r"])), max_size=12).map(
    lambda pairs: b"".join(line + eol for line, eol in pairs)
)


@given(stream=streams, data=st.data())
def test_any_split_of_the_bytes_gives_the_same_events(stream: bytes, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    edges = [0, *cuts, len(stream)]
    pieces = [stream[a:b] for a, b in pairwise(edges)]
    out, reader = read(*pieces)
    whole_out, whole = read(stream)
    # A lone CR or LF at the very end may still wait for its other half: an empty line either way.
    assert out.strip(b"\r\n") == whole_out.strip(b"\r\n")
    assert (reader.ended, reader.error, reader.fault) == (whole.ended, whole.error, whole.fault)


@given(st.lists(st.binary(max_size=40), max_size=10))
def test_what_comes_out_is_a_prefix_of_what_came_in(pieces: list[bytes]) -> None:
    out, _ = read(*pieces)
    assert b"".join(pieces).startswith(out)
