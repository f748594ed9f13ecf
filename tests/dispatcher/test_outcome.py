"""What is told of a request in the end."""

import orjson
from hypothesis import given
from hypothesis import strategies as st

from headrace.dispatcher.outcome import event, of_answer, of_error, queue_ms, reply_of
from headrace.dispatcher.ports import CallEnd
from headrace.schemas.errors import CATALOGUE, Code
from headrace.schemas.names import DeploymentName, Outcome, RequestId
from support.dispatch import APPENDED_MS, waiting

EAST = DeploymentName("east")


def test_an_upstreams_answer_is_passed_on_as_it_is() -> None:
    end = CallEnd(status=418, body=b"\xff\x00", content_type=b"text/plain; charset=x")
    ending = of_answer(end, EAST, Outcome.FAILED)
    assert (ending.status, ending.body, ending.content_type) == (418, end.body, end.content_type)
    assert (ending.outcome, ending.code, ending.upstream) == (Outcome.FAILED, "", EAST)


def test_an_error_inside_a_stream_keeps_the_status_that_its_client_has_seen() -> None:
    end = CallEnd(status=500, stream_error=b"{}", body=b"data: {}\n\n")
    assert of_answer(end, EAST, Outcome.FAILED).status == 200


def test_only_known_headers_of_an_upstream_are_passed_on() -> None:
    end = CallEnd(status=200, headers={"set-cookie": "x", "retry-after": "7", "server": "y"})
    ending = of_answer(end, EAST, Outcome.COMPLETED)
    assert orjson.loads(ending.upstream_headers) == {"retry-after": "7"}


def test_no_headers_to_pass_on_are_no_bytes() -> None:
    assert of_answer(CallEnd(status=200), EAST, Outcome.COMPLETED).upstream_headers == b""


@given(st.text(st.characters(codec=None), max_size=20))
def test_no_header_of_an_upstream_can_break_the_answer(value: str) -> None:
    end = CallEnd(status=200, headers={"openai-version": value, "retry-after": "1"})
    kept = orjson.loads(of_answer(end, EAST, Outcome.COMPLETED).upstream_headers)
    assert kept["retry-after"] == "1"
    assert kept.get("openai-version", "").isprintable()


def test_an_error_of_ours_has_the_status_and_the_code_of_the_catalogue() -> None:
    for code in Code:
        ending = of_error(Outcome.FAILED, code, 'says "why"')
        assert (ending.status, ending.code) == (CATALOGUE[code].status, code.value)
        assert orjson.loads(ending.body)["error"]["message"] == 'says "why"'


def test_the_event_of_an_attempt_has_no_outcome() -> None:
    told = orjson.loads(
        event(waiting(size=9), ending=None, deployment=EAST, status=503, code="x", call_ms=4)
    )
    assert (told["outcome"], told["status"], told["answer_bytes"]) == (None, 503, 0)
    assert (told["deployment"], told["request_bytes"], told["call_ms"]) == ("east", 9, 4)


def test_the_event_of_an_end_has_sizes_and_no_text() -> None:
    ending = of_error(Outcome.EXPIRED, Code.DEADLINE_EXCEEDED, "a message")
    value = event(waiting(), ending=ending, deployment="", status=504, code="c", call_ms=0)
    told = orjson.loads(value)
    assert (told["outcome"], told["answer_bytes"]) == ("expired", len(ending.body))
    assert b"a message" not in value
    assert b"messages" not in value


def test_the_wait_in_the_queue_ends_with_the_first_call() -> None:
    request = waiting()
    assert queue_ms(request) == 0
    request.first_call_ms = APPENDED_MS + 250
    assert queue_ms(request) == 250
    request.first_call_ms = APPENDED_MS - 3
    assert queue_ms(request) == 0


def test_whoever_may_ask_again_is_told_when() -> None:
    ending = of_error(Outcome.FAILED, Code.UPSTREAM_UNAVAILABLE, "open", retry_ms=12_345)
    assert reply_of(RequestId("r"), ending).retry_after_ms == 12_345
