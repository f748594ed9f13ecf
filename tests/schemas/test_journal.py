"""Journal records are read as they were written; anything else is refused as such."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.schemas import claims, status
from headrace.schemas.journal import (
    Beat,
    Claim,
    Entry,
    InFlight,
    ProcessId,
    Release,
    SessionId,
    Snap,
    Work,
    decode,
    decode_beat,
    encode,
    process_of,
)

PROCESS = st.text("abc-0123456789.", min_size=1, max_size=20).map(ProcessId)
SESSION = st.builds(lambda process, n: SessionId(f"{process}.{n}"), PROCESS, st.integers(0, 999))
OFFSET = st.integers(0, 2**62)
ENTRIES = st.one_of(
    st.builds(Claim, SESSION, PROCESS),
    st.builds(
        Work,
        SESSION,
        st.lists(st.tuples(OFFSET, st.integers(1, 99))),
        st.lists(st.tuples(OFFSET, st.text())),
    ),
    st.builds(
        Snap,
        SESSION,
        OFFSET,
        st.lists(st.tuples(OFFSET, OFFSET)),
        st.lists(st.builds(InFlight, OFFSET, st.integers(1, 99), SESSION)),
    ),
    st.builds(Release, SESSION),
)


@given(ENTRIES)
def test_an_entry_is_read_as_it_was_written(entry: Entry) -> None:
    assert decode(encode(entry)) == entry


@given(PROCESS, OFFSET)
def test_a_beat_is_read_as_it_was_written(process: ProcessId, sent_ms: int) -> None:
    assert decode_beat(encode(Beat(process, sent_ms))) == Beat(process, sent_ms)


@given(PROCESS, st.integers(0, 999))
def test_a_session_tells_its_process(process: ProcessId, number: int) -> None:
    assert process_of(SessionId(f"{process}.{number}")) == process


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"{}",
        b'["dance","a.1"]',
        b'["claim"]',
        b"\xff",
        b'["\xff"]',
        b'["claim", ' + b"[" * 3000,
    ],
)
def test_a_value_that_is_no_entry_is_refused(value: bytes) -> None:
    for read in (decode, decode_beat, status.decode, claims.decode):
        with pytest.raises(msgspec.MsgspecError):
            read(value)
