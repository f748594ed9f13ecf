"""A retry and a dead letter keep the first record byte for byte, however often it is retried (P15)."""

from hypothesis import given
from hypothesis import strategies as st

from headrace.schemas.headers import MAX_HISTORY_BYTES, RETRY_STATE, H
from headrace.schemas.names import DeploymentName
from headrace.schemas.records import Attempt, Headers, decode
from headrace.schemas.retries import (
    Source,
    dead_letter_headers,
    first_headers,
    retry_headers,
    source_of,
)

HERE = Source("headrace.requests.standard", 3, 41, b"tenant#5", 1_790_000_000_000)
FAILED = Attempt(1, 1_790_000_000_500, DeploymentName("east"), 503, "overloaded")

names = st.text(max_size=12).filter(lambda name: name not in RETRY_STATE)
originals = st.lists(st.tuples(names, st.binary(max_size=30)), max_size=8)
sources = st.builds(
    Source,
    topic=st.text(min_size=1, max_size=20),
    partition=st.integers(0, 1000),
    offset=st.integers(0, 10**15 - 1),
    key=st.none() | st.binary(max_size=10),
    timestamp_ms=st.integers(0, 10**15 - 1),
)
attempts = st.lists(
    st.builds(
        Attempt,
        number=st.integers(1, 10**6),
        at_ms=st.integers(0, 10**15),
        deployment=st.text(max_size=60).map(DeploymentName),
        status=st.integers(0, 599),
        code=st.text(max_size=60),
        counted=st.booleans(),
    ),
    max_size=60,
).map(tuple)


def found(headers: Headers) -> Source:
    """The source of a record on a delay topic."""
    return source_of(headers, topic="delay", partition=0, offset=9, key=b"id", timestamp_ms=5)


def retried(
    headers: Headers, source: Source = HERE, history: tuple[Attempt, ...] = (FAILED,)
) -> list[tuple[str, bytes]]:
    """The second attempt."""
    return retry_headers(headers, source, attempt=2, due_ms=77, history=history)


@given(originals, sources, attempts)
def test_a_retry_keeps_the_first_headers_and_tells_the_first_place(
    headers: Headers, source: Source, history: tuple[Attempt, ...]
) -> None:
    out = retried(headers, source, history)
    assert first_headers(out) == headers
    assert found(out) == source


@given(originals, sources, attempts)
def test_a_retry_of_a_retry_replaces_what_the_first_had_added(
    headers: Headers, source: Source, history: tuple[Attempt, ...]
) -> None:
    once = retried(headers, source, history)
    assert retried(once, found(once), history) == once


@given(originals, sources, attempts)
def test_a_dead_letter_of_a_retry_equals_that_of_the_first_record(
    headers: Headers, source: Source, history: tuple[Attempt, ...]
) -> None:
    direct = dead_letter_headers(headers, source, reason="x", history=history)
    after = dead_letter_headers(retried(headers, source), source, reason="x", history=history)
    assert direct == after


@given(originals, sources, attempts)
def test_what_a_dead_letter_adds_can_be_taken_off(
    headers: Headers, source: Source, history: tuple[Attempt, ...]
) -> None:
    dead = dead_letter_headers(headers, source, reason="unprocessable", history=history)
    assert first_headers(dead) == headers


def test_a_dead_letter_put_back_on_a_lane_and_failed_again_has_one_reason() -> None:
    once = dead_letter_headers([("a", b"1")], HERE, reason="unprocessable", history=())
    twice = dead_letter_headers(once, HERE, reason="attempts_exhausted", history=())
    assert [value for name, value in twice if name == H.REASON] == [b"attempts_exhausted"]


def test_a_repeated_header_of_a_producer_stays_repeated_and_in_order() -> None:
    headers = [("x", b"1"), ("y", b""), ("x", b"2")]
    assert first_headers(retried(headers)) == headers
    assert first_headers(dead_letter_headers(headers, HERE, reason="r", history=())) == headers


def test_a_record_without_a_key_differs_from_one_with_an_empty_key() -> None:
    for key in (None, b""):
        source = Source("t", 0, 0, key, 1)
        assert found(retried((), source)).key == key


def test_the_first_record_is_its_own_source() -> None:
    own = source_of((), topic="t", partition=1, offset=2, key=b"k", timestamp_ms=3)
    assert own == Source("t", 1, 2, b"k", 3)


@given(attempts)
def test_the_history_never_outgrows_its_header(history: tuple[Attempt, ...]) -> None:
    told = dict(retried((), history=history))["headrace-attempts"]
    assert len(told) <= MAX_HISTORY_BYTES


def test_what_a_retry_adds_is_read_back() -> None:
    record = decode(b"{}", retried([("ce_id", b"r1")]), topic="delay", partition=0, offset=9)
    assert (record.id, record.attempt, record.due_ms, record.history) == ("r1", 2, 77, (FAILED,))
    assert record.accepted_ms == HERE.timestamp_ms


def test_a_retry_without_an_id_keeps_the_id_of_its_first_place() -> None:
    record = decode(b"{}", retried(()), topic="delay", partition=0, offset=9)
    assert record.id == "headrace.requests.standard-3-41"


@given(
    st.dictionaries(
        st.sampled_from(sorted(RETRY_STATE)), st.none() | st.binary(max_size=40), max_size=9
    )
)
def test_forged_places_are_believed_or_not_but_never_raise(forged: dict[str, bytes]) -> None:
    assert isinstance(found(list(forged.items())), Source)
