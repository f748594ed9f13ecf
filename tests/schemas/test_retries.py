"""Retries and dead letters add to the first record and can be taken apart again (P15)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.schemas.headers import RETRY_STATE, H
from headrace.schemas.names import DeploymentName
from headrace.schemas.records import Attempt, Headers, decode
from headrace.schemas.retries import (
    Source,
    dead_letter_headers,
    first_headers,
    retry_headers,
    source_of,
)

FIRST: Headers = [("x-theirs", b"\xff"), ("ce_id", b"r-1"), ("x-theirs", b"twice")]
SOURCE = Source("requests.batch", 3, 17, b"acme#1", 1_700_000_000_000)
HISTORY = (Attempt(1, 1_700_000_001_000, DeploymentName("east"), 503, "upstream_5xx"),)


def place(headers: Headers) -> Source:
    return source_of(
        headers, topic="delay.batch.1s", partition=0, offset=5, key=b"r-1", timestamp_ms=99
    )


def retried(headers: Headers = FIRST, source: Source = SOURCE) -> Headers:
    return retry_headers(headers, source, attempt=2, due_ms=1_700_000_002_000, history=HISTORY)


def test_a_retry_tells_which_attempt_is_due_when() -> None:
    record = decode(b"{}", retried(), topic="delay.batch.1s", partition=0, offset=5)
    assert (record.attempt, record.due_ms, record.history) == (2, 1_700_000_002_000, HISTORY)
    assert record.accepted_ms == SOURCE.timestamp_ms


def test_a_retry_knows_where_the_first_record_stood() -> None:
    assert place(retried()) == SOURCE


def test_a_first_record_stands_where_it_stands() -> None:
    assert place(FIRST) == Source("delay.batch.1s", 0, 5, b"r-1", 99)


def test_a_record_without_an_id_keeps_its_place_as_id_over_retries() -> None:
    record = decode(b"{}", retried([]), topic="delay.batch.1s", partition=0, offset=5)
    assert record.id == "requests.batch-3-17"


def test_a_key_that_was_null_stays_null() -> None:
    source = Source("requests.batch", 3, 17, None, 1)
    assert place(retried(source=source)) == source


def test_a_retry_of_a_retry_replaces_what_the_first_added() -> None:
    assert retried(retried()) == retried()


def test_the_first_headers_come_back_byte_for_byte() -> None:
    assert first_headers(retried()) == FIRST


def test_a_dead_letter_holds_reason_history_and_place_but_no_retry_state() -> None:
    headers = dead_letter_headers(retried(), SOURCE, reason="attempts_exhausted", history=HISTORY)
    known = dict(headers)
    assert headers[: len(FIRST)] == FIRST
    assert known[H.REASON.value] == b"attempts_exhausted"
    assert known[H.SOURCE_KEY.value] == b"acme#1"
    assert H.DUE_MS.value not in known
    assert H.ATTEMPT.value not in known


@pytest.mark.parametrize("value", [None, b"", b"\xff", b"x"])
def test_a_place_that_a_producer_made_up_is_not_believed(value: bytes | None) -> None:
    forged = [(name, value if name == H.SOURCE_OFFSET else text) for name, text in retried()]
    assert place(forged) == place(FIRST)  # type: ignore[arg-type]  # Kafka allows null


@given(st.dictionaries(st.sampled_from(sorted(RETRY_STATE)), st.none() | st.binary(max_size=8)))
def test_no_headers_make_the_place_unreadable(headers: dict[str, bytes]) -> None:
    place([*headers.items()])
