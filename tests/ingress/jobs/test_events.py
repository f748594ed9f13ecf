"""Event streams: resumed at every place, they are what one reader would have seen; attempts never mix."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.ingress.jobs.events import Cursor, EventStream, Gap, read_cursor
from headrace.schemas.names import RequestId
from headrace.schemas.replies import Reply

ID = RequestId("r")
ONE, TWO, THREE = (b"data: %d\n\n" % number for number in (1, 2, 3))
DONE = b"data: [DONE]\n\n"


def chunk(seq: int, body: bytes, *, attempt: int = 1, source: bytes = b"d") -> Reply:
    return Reply(id=ID, body=body, seq=seq, attempt=attempt, source=source)


def final(
    seq: int, body: bytes, *, attempt: int = 1, whole: bool = False, status: int = 200
) -> Reply:
    return Reply(
        id=ID, body=body, seq=seq, attempt=attempt, source=b"d", final=True, whole=whole, status=status
    )  # fmt: skip


CHUNKS = [chunk(1, ONE), chunk(2, TWO + THREE)]
FINAL = final(3, DONE)
WHOLE = final(3, ONE + TWO + THREE + DONE, whole=True)


def read(after: Cursor | None, chunks: list[Reply], end: Reply) -> bytes:
    """All that a reader gets who comes back with `after`."""
    stream = EventStream(after)
    stream.follow(end.attempt, b"d")
    return b"".join(map(stream.chunk, chunks)) + stream.end(end)


def events(text: bytes) -> list[tuple[bytes, Cursor | None]]:
    """(data, cursor) of each event."""
    found = []
    for event in text.split(b"\n\n")[:-1]:
        told = re.search(rb"^id: (.*)$", event, re.MULTILINE)
        data = re.search(rb"^data: (.*)$", event, re.MULTILINE)
        assert data is not None
        found.append((data[1], read_cursor(told[1]) if told else None))
    return found


def test_each_event_says_how_far_the_reader_is() -> None:
    assert events(read(None, CHUNKS, FINAL)) == [
        (b"1", Cursor(1, 1)),
        (b"2", Cursor(1, 1, 1)),
        (b"3", Cursor(1, 2)),
        (b"[DONE]", Cursor(1, 3)),
    ]


@pytest.mark.parametrize("end", [FINAL, WHOLE])
@pytest.mark.parametrize("seen", range(5))
def test_a_reader_that_comes_back_gets_exactly_what_it_lacks(seen: int, end: Reply) -> None:
    everything = events(read(None, CHUNKS, end))
    after = everything[seen - 1][1] if seen else None
    assert events(read(after, CHUNKS, end)) == everything[seen:]


@pytest.mark.parametrize("seen", range(5))
def test_the_whole_text_serves_where_chunks_are_gone(seen: int) -> None:
    everything = events(read(None, [], WHOLE))
    assert [data for data, _ in everything] == [b"1", b"2", b"3", b"[DONE]"]
    after = everything[seen - 1][1] if seen else None
    assert events(read(after, [], WHOLE)) == everything[seen:]
    assert [data for data, _ in events(read(after, CHUNKS, FINAL))] == [
        data for data, _ in everything[seen:]
    ]


def test_a_place_between_chunks_that_are_gone_is_an_error_and_no_repeat() -> None:
    assert b'"code":"reply_lost"' in read(Cursor(1, 1), [], WHOLE)


@given(
    st.lists(st.lists(st.integers(0, 9), min_size=1, max_size=4), max_size=6), st.integers(0, 30),
    st.booleans(),
)  # fmt: skip
def test_any_chunking_resumes_at_any_event(sizes: list[list[int]], cut: int, whole: bool) -> None:
    bodies = [b"".join(b"data: %d\n\n" % number for number in chunk) for chunk in sizes]
    chunks = [chunk(seq, body) for seq, body in enumerate(bodies, 1)]
    text = b"".join(bodies) + DONE
    end = final(len(chunks) + 1, text if whole else DONE, whole=whole)
    everything = events(read(None, chunks, end))
    cut = min(cut, len(everything))
    after = everything[cut - 1][1] if cut else None
    assert events(read(after, chunks, end)) == everything[cut:]


def test_repeats_and_chunks_of_other_processes_are_dropped() -> None:
    stream = EventStream()
    stream.follow(1, b"d")
    assert stream.chunk(CHUNKS[0])
    assert not stream.chunk(CHUNKS[0])
    assert not stream.chunk(chunk(2, TWO, source=b"other"))
    assert not stream.chunk(chunk(2, TWO, attempt=2))


def test_a_missing_chunk_is_a_gap() -> None:
    stream = EventStream()
    stream.follow(1, b"d")
    with pytest.raises(Gap):
        stream.chunk(CHUNKS[1])


def test_a_newer_attempt_takes_over_until_the_first_event_and_breaks_the_stream_after_it() -> None:
    fresh, begun = EventStream(), EventStream(Cursor(1, 1))
    assert fresh.follow(1, b"d")
    assert fresh.follow(2, b"d")
    assert not fresh.follow(1, b"d")
    assert not begun.follow(2, b"d")
    ended = begun.end(final(1, DONE, attempt=2))
    assert b'"code":"upstream_stream_broken"' in ended
    assert DONE not in ended


def test_an_attempts_number_used_by_another_process_breaks_a_stream_that_has_begun() -> None:
    stream = EventStream()
    stream.follow(1, b"d")
    stream.chunk(CHUNKS[0])
    assert not stream.follow(1, b"other")


def test_a_failure_is_an_error_event_of_one_line_whatever_came_before() -> None:
    body = b'{"error":{\n"code":"x"}}'
    assert read(None, CHUNKS[:1], final(2, body, status=502)).endswith(
        b'data: {"error":{"code":"x"}}\n\n'
    )


@pytest.mark.parametrize("body", [b"", b"<html>\n</html>"])
@pytest.mark.parametrize("stream", [False, True])
def test_a_failure_without_an_error_to_be_read_is_one_all_the_same(
    body: bytes, stream: bool
) -> None:
    end = final(1, body, status=502)
    told = EventStream().end(end) if stream else EventStream().answer(end)
    assert b'data: {"error":{"message":"The upstream answered with status 502: ' in told
    assert told.count(b"\n") == 2


def test_a_failure_waits_for_the_chunks_before_it() -> None:
    stream = EventStream()
    stream.follow(1, b"d")
    end = final(2, b"{}", status=502)
    assert stream.lacks(end)
    stream.chunk(CHUNKS[0])
    assert not stream.lacks(end)


def test_an_answer_that_is_no_stream_is_one_event_and_comes_once() -> None:
    end = final(1, b'{"a":1}')
    assert EventStream().answer(end) == b'id: 1.1\ndata: {"a":1}\n\n'
    assert EventStream(Cursor(1, 1)).answer(end) == b""


def test_states_are_told_once_and_only_when_they_change() -> None:
    stream = EventStream()
    assert stream.state("queued", 0) == b'event: state\ndata: {"state":"queued","attempt":0}\n\n'
    assert not stream.state("queued", 0)
    assert stream.state("running", 1)


def test_a_plain_reader_gets_the_upstreams_bytes() -> None:
    stream = EventStream(plain=True)
    stream.follow(1, b"d")
    told = stream.state("running", 1) + b"".join(map(stream.chunk, CHUNKS)) + stream.end(FINAL)
    assert told == ONE + TWO + THREE + DONE


@pytest.mark.parametrize("value", [b"", b"7", b"1.", b"a.b", b"1.2.3.4", b"-1.2", b"1.9999999999"])
def test_an_id_that_is_none_of_ours_is_no_cursor(value: bytes) -> None:
    assert read_cursor(value) is None
