"""Request records: what one process writes, another reads; what anybody writes breaks nothing."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.schemas.headers import ALIASES, MAX_HISTORY_BYTES, MEANING, H
from headrace.schemas.names import DEFAULT_TENANT
from headrace.schemas.records import (
    Attempt,
    Headers,
    MalformedRecord,
    ReplyTo,
    RequestRecord,
    decode,
    encode,
    encode_history,
)
from support.contract import ATTEMPTS, REQUESTS, TEXT


def read(headers: Headers, value: bytes | None = b"{}") -> RequestRecord:
    return decode(value, headers, topic="requests.batch", partition=3, offset=17)


@given(REQUESTS)
def test_what_was_written_is_read_again(request: RequestRecord) -> None:
    headers = encode(request, b"ingress-1")
    assert read(headers, request.body) == request
    assert all(type(name) is str for name, _ in headers)
    assert len(dict(headers)) == len(headers)


def test_a_body_alone_is_a_complete_request() -> None:
    request = read([])
    assert request.id == "requests.batch-3-17"
    assert request.tenant == DEFAULT_TENANT
    assert request.endpoint is None
    assert request.stream is None
    assert request.attempt == 1
    assert request.reply is None
    assert request.content_type == b"application/json"


def test_headers_of_others_are_ignored() -> None:
    assert read([("x-theirs", b"\xff\x00"), ("x-theirs", b"again")]) == read([])


@pytest.mark.parametrize("value", [b"", None])
@pytest.mark.parametrize("name", H)
def test_an_empty_or_null_header_counts_as_missing(name: H, value: bytes | None) -> None:
    headers: list[tuple[str, bytes]] = [(name.value, value)]  # type: ignore[list-item]  # Kafka allows null
    assert read(headers) == read([])


def test_headers_of_spring_are_understood() -> None:
    request = read(
        [
            ("kafka_correlationId", b"c-1"),
            ("kafka_replyTopic", b"answers"),
            ("kafka_replyPartition", b"\x00\x00\x01\x02"),
        ]
    )
    assert request.id == "c-1"
    assert request.reply == ReplyTo("answers", 258)


@pytest.mark.parametrize("name", ["reply-partition", "kafka_replyPartition"])
def test_a_reply_partition_may_be_written_in_digits(name: str) -> None:
    reply = read([("reply-topic", b"answers"), (name, b"12")]).reply
    assert reply == ReplyTo("answers", 12)


@pytest.mark.parametrize(("alias", "name"), ALIASES.items())
def test_our_own_name_goes_before_an_alias(alias: str, name: H) -> None:
    base = {H.REPLY_TOPIC.value: b"answers"}
    ours = base | {name.value: b"8"}
    assert read([*(ours | {alias: b"7"}).items()]) == read([*ours.items()])


MALFORMED = {
    "endpoint": (H.ENDPOINT, b"chat/divination"),
    "a version that is not ours": (H.SPEC, b"9.0"),
    "control character": (H.TENANT, b"a\nb"),
    "escape sequence": (H.MODEL, b"\x1b[2J"),
    "not UTF-8": (H.ID, b"\xff\xfe"),
    "too long": (H.ID, b"x" * 1025),
    "negative number": (H.DEADLINE_MS, b"-1"),
    "no number": (H.DEADLINE_MS, b"soon"),
    "huge number": (H.DEADLINE_MS, b"9" * 5000),
    "digits of another script": (H.ATTEMPT, "\u0663".encode()),
    "history that is no JSON": (H.HISTORY, b"{"),
    "history of another shape": (H.HISTORY, b'[{"a": 1}]'),
    "history that is deep": (H.HISTORY, b"[" * 100_000),
}


@pytest.mark.parametrize("header", MALFORMED.values(), ids=MALFORMED.keys())
def test_a_header_that_cannot_be_read_makes_the_record_malformed(header: tuple[H, bytes]) -> None:
    name, value = header
    with pytest.raises(MalformedRecord) as caught:
        read([(name.value, value)])
    assert caught.value.code == "record_header_invalid"


@pytest.mark.parametrize("value", [b"x", b"\xff\xff\xff\xff", b"9" * 16])
def test_a_reply_partition_that_cannot_be_makes_the_record_malformed(value: bytes) -> None:
    with pytest.raises(MalformedRecord):
        read([("reply-topic", b"answers"), ("reply-partition", value)])


def test_a_header_of_ours_that_stands_twice_is_refused() -> None:
    with pytest.raises(MalformedRecord, match="twice"):
        read([("headrace-tenant", b"acme"), ("headrace-tenant", b"other")])


def test_a_record_without_a_value_is_malformed() -> None:
    with pytest.raises(MalformedRecord) as caught:
        read([], None)
    assert caught.value.code == "record_empty"


@given(
    st.lists(
        st.tuples(
            st.sampled_from([*H, *ALIASES]).map(str),
            st.none()
            | st.binary(max_size=20)
            | TEXT.map(str.encode)
            | st.integers().map(b"%d".__mod__),
        )
    )
)
def test_no_headers_raise_anything_but_malformed_record(headers: Headers) -> None:
    with suppress(MalformedRecord):
        read(headers)


@given(st.lists(ATTEMPTS, max_size=80).map(tuple))
def test_a_history_stays_short_and_keeps_the_latest(history: tuple[Attempt, ...]) -> None:
    encoded = encode_history(history)
    assert len(encoded) <= MAX_HISTORY_BYTES
    kept = read([(H.HISTORY.value, encoded)]).history
    assert history[len(history) - len(kept) :] == kept


def test_every_header_has_a_meaning() -> None:
    assert set(MEANING) == set(H)
