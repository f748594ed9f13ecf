"""Replies and cancels: what a dispatcher writes, the waiting side reads."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.schemas.headers import H
from headrace.schemas.names import DEFAULT_TENANT, DeploymentName, Outcome, RequestId, Tenant
from headrace.schemas.records import Headers, MalformedRecord
from headrace.schemas.replies import Cancel, Reply, decode, decode_cancel, encode, encode_cancel
from support.contract import CHUNKS, FINALS

FINAL = Reply(id=RequestId("r-1"), body=b"{}", final=True, outcome=Outcome.COMPLETED)


@given(CHUNKS | FINALS)
def test_what_was_written_is_read_again(reply: Reply) -> None:
    headers = encode(reply, b"dispatcher-1")
    reply.source = b"dispatcher-1"
    assert decode(reply.body, headers) == reply
    assert all(type(name) is str for name, _ in headers)


def test_a_chunk_says_nothing_about_the_end() -> None:
    names = {name for name, _ in encode(Reply(id=RequestId("r-1"), body=b"data: 1"), b"d")}
    assert not names & {H.FINAL, H.STATUS, H.OUTCOME, H.PART}


def test_the_first_chunk_alone_tells_who_answers() -> None:
    told = Reply(id=RequestId("r-1"), body=b"data: 1", queue_ms=7, upstream=DeploymentName("east"))
    first = decode(told.body, encode(told, b""))
    assert (first.queue_ms, first.upstream) == (7, "east")
    told.seq = 2
    assert not {name for name, _ in encode(told, b"d")} & {H.QUEUE_MS, H.UPSTREAM}


def test_each_part_of_a_long_answer_tells_its_number_and_the_status() -> None:
    headers = dict(encode(Reply(id=RequestId("r"), body=b"", final=True, part=(2, 7)), b"d"))
    assert headers[H.PART.value] == b"2/7"
    assert headers[H.STATUS.value] == b"200"


@pytest.mark.parametrize("missing", [H.ID, H.SEQ, H.STATUS, H.OUTCOME])
def test_a_final_without_a_header_it_needs_is_malformed(missing: H) -> None:
    headers = [header for header in encode(FINAL, b"d") if header[0] != missing]
    with pytest.raises(MalformedRecord):
        decode(b"", headers)


@given(
    st.dictionaries(
        st.sampled_from(H).map(str),
        st.none() | st.binary(max_size=8) | st.integers().map(b"%d".__mod__),
    )
)
def test_no_headers_raise_anything_but_malformed_record(headers: dict[str, bytes]) -> None:
    pairs = [*{**dict(encode(FINAL, b"d")), **headers}.items()]
    with suppress(MalformedRecord):
        decode(None, pairs)
    with suppress(MalformedRecord):
        decode_cancel(pairs)


def test_the_final_of_a_stream_tells_whether_it_repeats_its_chunks() -> None:
    whole = Reply(id=RequestId("r-1"), body=b"all", seq=3, final=True, whole=True)
    assert decode(b"all", encode(whole, b"d")).whole
    assert not decode(b"{}", encode(FINAL, b"d")).whole


def test_a_cancel_is_read_again() -> None:
    cancel = Cancel(RequestId("r-1"), 1_700_000_000_000, Tenant("acme"))
    assert decode_cancel(encode_cancel(cancel, b"ingress-1")) == cancel


def test_a_cancel_that_names_no_tenant_is_of_the_default_one() -> None:
    headers = [("ce_id", b"r-1"), ("headrace-deadline-ms", b"1")]
    assert decode_cancel(headers).tenant == DEFAULT_TENANT


CANCELS: list[Headers] = [
    [],
    [("ce_id", b"r-1")],
    [("ce_id", b""), ("headrace-deadline-ms", b"1")],
    [("ce_id", b"r" * 1025), ("headrace-deadline-ms", b"1")],
    [("ce_id", b"r-1"), ("headrace-deadline-ms", b"9" * 400)],
    [("ce_id", b"r-1"), ("headrace-deadline-ms", b"1"), ("headrace-tenant", b"\x00")],
]


@pytest.mark.parametrize("headers", CANCELS)
def test_a_cancel_without_id_or_a_bounded_deadline_is_malformed(headers: Headers) -> None:
    with pytest.raises(MalformedRecord):
        decode_cancel(headers)
