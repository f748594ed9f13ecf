"""Whatever stands in a lane becomes a request that waits, or a dead letter: never an exception."""

import hashlib

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from headrace.dispatcher.intake import Unreadable, understand
from headrace.dispatcher.waiting import Waiting
from headrace.schemas.config.model import LaneConfig
from headrace.schemas.errors import Code
from headrace.schemas.headers import ALIASES, H
from headrace.schemas.names import Endpoint
from headrace.schemas.records import Headers, ReplyTo
from headrace.schemas.retries import Source, retry_headers
from support.dispatch import APPENDED_MS, HOUR, TOPIC, Record, read, tenure

DEEP = b"[" * 100_000
DEEP_HISTORY = b'[[1,2,"a",3,"c",true,' + DEEP
REPLY = ("headrace-reply-topic", b"answers")

words = st.sampled_from(
    [None, b"", b"1", b"0", b"-1", b"9" * 40, b"\xff", b"a\nb", b"chat/completions", DEEP_HISTORY]
)
header_names = st.sampled_from([*H, *ALIASES]) | st.text(max_size=5)
any_headers = st.lists(st.tuples(header_names, words | st.binary(max_size=20)), max_size=10)
bodies = (
    st.none()
    | st.binary(max_size=40)
    | st.dictionaries(
        st.sampled_from(["model", "stream", "messages", "input", "prompt", "x"]),
        st.sampled_from([None, True, 1, "m", "\x00", [], {}, [1], 1e300]),
    ).map(orjson.dumps)
)


def understood(record: Record) -> Waiting:
    """`record` as a request."""
    request = read(record)
    assert isinstance(request, Waiting), request
    return request


def refused(record: Record) -> Unreadable:
    """`record` as one that can never run."""
    request = read(record)
    assert isinstance(request, Unreadable)
    return request


@given(any_headers, bodies)
@example([], DEEP)
@example([], b'{"model":"m","x":' + DEEP)
@example([("headrace-attempts", DEEP_HISTORY)], b'{"model":"m"}')
@example([("headrace-source-topic", b"t")], b'{"model":"m"}')
@example([("headrace-source-topic", b"\xff")], None)
def test_any_record_is_understood_or_refused(headers: Headers, body: bytes | None) -> None:
    request = read(Record(headers=headers, value=body))
    if isinstance(request, Unreadable):
        assert request.code is Code.UNPROCESSABLE_RECORD
        assert request.message
        assert request.id.encode()
        return
    assert request.record.body == body
    assert request.headers == headers
    assert request.model.isprintable()
    assert request.model.encode()
    assert request.attempt >= 0


@pytest.mark.parametrize(
    ("body", "endpoint"),
    [
        (b'{"model":"m","messages":[{"role":"user","content":"x"}]}', Endpoint.CHAT),
        (b'{"model":"m","input":["a","b"]}', Endpoint.EMBEDDINGS),
        (b'{"model":"m","prompt":"x"}', Endpoint.COMPLETIONS),
        (b'{"model":"m","messages":null,"input":"x"}', Endpoint.EMBEDDINGS),
    ],
)
def test_a_body_and_a_reply_topic_are_enough(body: bytes, endpoint: Endpoint) -> None:
    request = understood(Record(headers=[("reply-topic", b"answers")], value=body, offset=12))
    assert (request.endpoint, request.model, request.stream) == (endpoint, "m", False)
    assert request.id == f"{TOPIC}-0-12"
    assert request.record.reply == ReplyTo("answers")
    assert request.attempt == 1
    assert request.size == len(body)


def test_headers_that_tell_all_leave_the_body_unread() -> None:
    headers = [
        ("headrace-model", b"m"),
        ("headrace-endpoint", b"completions"),
        ("headrace-stream", b"1"),
    ]
    request = understood(Record(headers=headers, value=b"\xff not JSON"))
    assert (request.endpoint, request.stream) == (Endpoint.COMPLETIONS, True)


def test_a_header_wins_over_the_body() -> None:
    request = understood(
        Record(headers=[("headrace-model", b"h")], value=b'{"model":"b","stream":true}')
    )
    assert (request.model, request.stream) == ("h", True)


def test_null_headers_count_as_missing() -> None:
    headers: list[tuple[str, bytes]] = [(name, None) for name in H]  # type: ignore[misc]
    assert understood(Record(headers=headers, offset=3)).id == f"{TOPIC}-0-3"


def test_a_default_deadline_counts_from_the_records_own_time() -> None:
    assert understood(Record()).deadline_ms == APPENDED_MS + round(HOUR.deadline_s * 1000)


def test_a_deadline_in_a_header_is_kept() -> None:
    assert understood(Record(headers=[("headrace-deadline-ms", b"99")])).deadline_ms == 99


def test_a_retry_keeps_the_id_and_the_default_deadline_of_the_first_record() -> None:
    first = understood(Record(offset=8))
    headers = retry_headers(first.headers, first.source, attempt=2, due_ms=5, history=())
    later = APPENDED_MS + 3_000_000
    retry = understood(
        Record(headers=headers, topic="delay", offset=1, timestamp=later, key=b"id", partition=2)
    )
    assert (retry.id, retry.deadline_ms) == (first.id, first.deadline_ms)
    assert (retry.attempt, retry.due_ms) == (2, 5)
    assert retry.source == first.source == Source(TOPIC, 0, 8, b"k", APPENDED_MS)


def test_a_call_lost_with_its_process_is_in_the_history_and_the_next_attempt_follows() -> None:
    owner = tenure(lost={4: 3})
    request = read(Record(offset=4), owner)
    assert isinstance(request, Waiting)
    assert request.attempt == 4
    assert [(a.number, a.code, a.counted) for a in request.history] == [(3, "lost_in_crash", False)]
    assert owner.snap().lost == [(4, 3)], "a successor must know until the next attempt starts"


def test_a_body_that_is_not_what_its_digest_says_is_refused() -> None:
    digest = hashlib.sha256(b'{"model":"m"}').hexdigest().encode()
    headers = [("headrace-body-sha256", digest)]
    assert understood(Record(headers=headers, value=b'{"model":"m"}')).model == "m"
    assert "digest" in refused(Record(headers=headers, value=b'{"model":"n"}')).message


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b'{"model":""}', b'{"model":7}', None])
def test_a_record_that_names_no_model_is_refused(body: bytes | None) -> None:
    assert refused(Record(value=body)).code is Code.UNPROCESSABLE_RECORD


@pytest.mark.parametrize("model", ["a\nb", "x" * 2000])
def test_a_model_name_in_a_body_obeys_the_rule_for_headers(model: str) -> None:
    refused(Record(value=orjson.dumps({"model": model})))


def test_a_refused_record_is_answered_where_its_headers_say() -> None:
    headers = [REPLY, ("headrace-reply-partition", b"3"), ("ce_id", b"r1")]
    answer = refused(Record(headers=headers, value=b"{"))
    assert answer.reply == ReplyTo("answers", 3)
    assert answer.id == "r1"


def test_a_refused_record_whose_address_is_broken_is_only_buried() -> None:
    headers = [REPLY, ("headrace-reply-partition", b"x")]
    answer = refused(Record(headers=headers, value=b"{", offset=6))
    assert answer.reply is None
    assert answer.id == f"{TOPIC}-0-6"


def test_a_refused_record_tells_nothing_of_its_body() -> None:
    secret = b'{"model":"m","messages":"my secret words","stream":"my secret words"}'
    assert "secret" not in refused(Record(value=secret)).message


@pytest.mark.parametrize("order", ["fifo", "edf"])
def test_the_rank_of_a_request_is_its_age_or_its_deadline_as_the_lane_wants(order: str) -> None:
    lane = LaneConfig.model_validate({"deadline_s": 60, "order": order})
    request = understand(Record(), tenure(), lane)
    assert isinstance(request, Waiting)
    ranks = {"fifo": request.source.timestamp_ms, "edf": APPENDED_MS + 60_000}
    assert request.rank == ranks[order]
