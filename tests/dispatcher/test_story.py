"""What the log tells of requests that do not go smoothly: followable, without text, and never a flood."""

import msgspec
import pytest
from structlog.testing import capture_logs

from headrace.dispatcher.outcome import Ending, of_answer, of_error
from headrace.dispatcher.ports import CallEnd
from headrace.dispatcher.story import Story
from headrace.dispatcher.waiting import Waiting
from headrace.schemas.errors import Code
from headrace.schemas.names import DeploymentName, Outcome
from headrace.schemas.records import Attempt
from headrace.telemetry.flood import BURST_LINES, LINES_PER_S
from headrace.telemetry.logs import FIELDS, get_log
from support.dispatch import APPENDED_MS, waiting

EAST, WEST = DeploymentName("east"), DeploymentName("west")
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
DONE = of_answer(CallEnd(status=200, body=b"{}"), EAST, Outcome.COMPLETED)


class Book:
    """A story whose clock stands until it is moved."""

    def __init__(self) -> None:
        self.now_s = 1_000.0

    def now_ms(self) -> int:
        return APPENDED_MS

    def monotonic(self) -> float:
        return self.now_s


def failure(deployment: DeploymentName = EAST) -> Attempt:
    return Attempt(1, APPENDED_MS, deployment, 500, "server_error")


def traced() -> Waiting:
    request = waiting()
    request.record.traceparent = f"00-{TRACE}-00f067aa0ba902b7-01".encode()
    return request


def test_a_failed_attempt_tells_whose_where_why_and_when_again() -> None:
    book, request = Book(), traced()
    with capture_logs() as lines:
        Story(get_log(), book).failed(request, failure(), call_ms=12, wait_ms=340)
    assert lines == [
        {
            "event": "attempt_failed",
            "log_level": "info",
            "request_id": request.id,
            "tenant": "default",
            "lane": "standard",
            "model": "m",
            "trace_id": TRACE,
            "deployment": "east",
            "attempt": 1,
            "status": 500,
            "code": "server_error",
            "dur_ms": 12,
            "wait_ms": 340,
        }
    ]
    assert set(lines[0]) - {"log_level"} <= FIELDS


def ended(ending: Ending, request: Waiting | None = None) -> list[object]:
    with capture_logs() as lines:
        Story(get_log(), Book()).ended(request or waiting(), ending, call_ms=1)
    return [(line["event"], line["outcome"], line["code"]) for line in lines]


def test_an_end_that_is_no_success_is_told() -> None:
    expired = of_error(Outcome.EXPIRED, Code.DEADLINE_EXCEEDED, "too late")
    assert ended(expired) == [("request_ended", "expired", "deadline_exceeded")]


def test_a_success_is_told_only_where_calls_failed_before() -> None:
    repeated = waiting()
    repeated.history = (failure(),)
    assert ended(DONE) == []
    assert ended(DONE, repeated) == [("request_ended", "completed", "")]


def test_a_dead_letter_has_a_line_of_its_own() -> None:
    assert ended(msgspec.structs.replace(DONE, outcome=Outcome.DEAD_LETTERED)) == []


def test_an_outage_of_one_deployment_is_no_flood_and_hides_no_other() -> None:
    book, request = Book(), waiting()
    story = Story(get_log(), book)
    with capture_logs() as lines:
        for _ in range(5_000):
            story.failed(request, failure(), call_ms=1, wait_ms=1)
        story.failed(request, failure(WEST), call_ms=1, wait_ms=1)
        book.now_s += 1
        story.failed(request, failure(), call_ms=1, wait_ms=1)
    assert [line["deployment"] for line in lines].count(EAST) == BURST_LINES + 1
    assert lines[-2]["deployment"] == WEST
    assert lines[-1]["left_out"] == 5_000 - BURST_LINES


@pytest.mark.parametrize("seconds", [1, 3])
def test_lines_come_back_with_time(seconds: int) -> None:
    book, request = Book(), waiting()
    story = Story(get_log(), book)
    for _ in range(5_000):
        story.failed(request, failure(), call_ms=1, wait_ms=1)
    book.now_s += seconds
    with capture_logs() as lines:
        for _ in range(5_000):
            story.failed(request, failure(), call_ms=1, wait_ms=1)
    assert len(lines) == seconds * LINES_PER_S
