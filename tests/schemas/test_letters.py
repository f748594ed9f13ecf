"""Dead letters read again, and the replays made of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.schemas.headers import RETRY_STATE, H
from headrace.schemas.letters import (
    Anew,
    Letter,
    Mark,
    attempts_of,
    mark_headers,
    read_letter,
    replay_headers,
)
from headrace.schemas.names import LaneName, RequestId
from headrace.schemas.records import Attempt, DeploymentName
from headrace.schemas.retries import Source, dead_letter_headers
from headrace.schemas.topics import Topics

TOPICS = Topics("h.")
SOURCE = Source("h.requests.standard", 2, 7, b"k", 1_790_000_000_000)
OWN = {H.REPLAYS.value, H.DEADLINE_MS.value, H.ID.value, H.TYPE.value, H.LANE.value}


def letter(headers: list[tuple[str, bytes]], source: Source = SOURCE, key: bytes = b"id") -> Letter:
    history = (Attempt(1, 5, DeploymentName("d"), 500, "upstream_error"),)
    kept = dead_letter_headers(headers, source, reason="attempts_exhausted", history=history)
    found = read_letter(
        TOPICS, partition=3, offset=9, timestamp_ms=11, key=key, value=b"{}", headers=kept
    )
    assert isinstance(found, Letter)
    return found


def replayed(one: Letter, anew: Anew | None = None) -> list[tuple[str, bytes]]:
    return replay_headers(one, TOPICS, deadline_ms=99, lane=None, anew=anew)


names = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=9)
foreign = names.filter(lambda name: name not in RETRY_STATE and name not in OWN)


@given(st.lists(st.tuples(foreign, st.binary(max_size=20)), max_size=8))
def test_headers_of_a_producer_come_back_in_their_order_doubles_too(
    headers: list[tuple[str, bytes]],
) -> None:
    whole = [("ce_id", b"id"), *headers, ("headrace-deadline-ms", b"5"), *headers]
    made = replayed(letter(whole))
    assert made == [
        ("ce_id", b"id"),
        *headers,
        ("headrace-deadline-ms", b"99"),
        *headers,
        ("headrace-replays", b"1"),
    ]


def test_a_letter_tells_its_source_its_reason_and_its_attempts() -> None:
    one = letter([("headrace-tenant", b"acme"), ("headrace-model", b"m")])
    assert (one.lane, one.tenant, one.model) == ("standard", "acme", "m")
    place = (one.source.topic, one.source.partition, one.source.offset)
    assert place == (SOURCE.topic, 2, 7)
    assert one.source.key == b"k"
    assert [attempt.status for attempt in one.history] == [500]


@pytest.mark.parametrize("value", [b"", b"{", b"[[1]]", b"\xff"])
def test_a_history_that_cannot_be_read_is_none(value: bytes) -> None:
    assert attempts_of([("headrace-attempts", value)]) == ()


def test_the_lane_of_a_delay_topic_is_known() -> None:
    one = letter([], Source("h.delay.batch.10m", 0, 1, None, 0))
    assert one.lane == "batch"
    assert one.source.key is None


def test_a_request_without_an_id_is_replayed_under_that_of_its_first_place() -> None:
    one = letter([("ce_id", b"")], key=b"h.requests.standard-2-7")
    assert dict(replayed(one))["ce_id"] == b"h.requests.standard-2-7"
    assert [name for name, _ in replayed(one)].count("ce_id") == 1


def test_an_id_under_another_name_stays_the_only_one() -> None:
    one = letter([("kafka_correlationId", b"id")])
    assert "ce_id" not in dict(replayed(one))


def test_a_second_replay_counts_on() -> None:
    once = letter(replayed(letter([("ce_id", b"id")])))
    assert once.replays == 1
    assert [v for n, v in replayed(once) if n == "headrace-replays"] == [b"2"]


def test_a_request_that_nobody_waits_for_becomes_a_job_under_its_new_id() -> None:
    one = letter(
        [
            ("ce_id", b"id"),
            ("headrace-reply-topic", b"h.replies"),
            ("headrace-reply-partition", b"4"),
            ("headrace-reply-instance", b"gone"),
        ]
    )
    made = dict(replayed(one, Anew(RequestId("new"), "h.results", 6)))
    assert made["ce_id"] == b"new"
    assert made["headrace-kind"] == b"job"
    assert (made["headrace-reply-topic"], made["headrace-reply-partition"]) == (b"h.results", b"6")
    assert "headrace-reply-instance" not in made


def test_an_answer_of_a_producers_own_topic_still_goes_there_under_a_new_id() -> None:
    one = letter([("ce_id", b"id"), ("reply-topic", b"theirs")])
    made = dict(replayed(one, Anew(RequestId("new"), "h.results", 6)))
    assert made == {"ce_id": b"new", "reply-topic": b"theirs", "headrace-replays": b"1"}


def test_another_lane_is_told_where_the_lane_was_told() -> None:
    one = letter([("ce_id", b"id"), ("headrace-lane", b"standard")])
    made = replay_headers(one, TOPICS, deadline_ms=99, lane=LaneName("batch"), anew=None)
    assert dict(made)["headrace-lane"] == b"batch"


def test_a_mark_names_its_letter() -> None:
    headers = mark_headers(letter([("ce_id", b"id")]), b"me", RequestId("new"))
    mark = read_letter(
        TOPICS, partition=3, offset=10, timestamp_ms=12, key=b"id", value=None, headers=headers
    )
    assert mark == Mark(RequestId("id"), 9, 1, "new")


@given(st.lists(st.tuples(st.sampled_from([*(h.value for h in H)]), st.binary(max_size=30))))
def test_no_record_breaks_the_reading_of_letters(headers: list[tuple[str, bytes]]) -> None:
    read_letter(
        TOPICS, partition=0, offset=0, timestamp_ms=0, key=None, value=b"\xff", headers=headers
    )
