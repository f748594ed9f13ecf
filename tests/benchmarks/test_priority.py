"""How long interactive requests waited, from logs."""

from benchmarks.measures.priority import Sent, late_after_ends_ms, most_at_once, queue_waits_ms
from headrace.cli.mock.log import Finished, LoggedCall, Outcome, Received


def call(name: str, begin: int, end: int | None) -> LoggedCall:
    finished = None if end is None else Finished(1, end, Outcome.ANSWERED)
    return LoggedCall(Received(1, begin, "/v1", name, 1), finished)


CALLS = [call("a", 0, 100), call("b", 0, 200), call("one", 110, 130), call("two", 140, None)]
SENT = [Sent("one", 50), Sent("two", 60)]


def test_waits_are_from_the_client_to_the_upstream() -> None:
    assert queue_waits_ms(SENT, CALLS) == [60, 80]


def test_each_that_waits_could_begin_when_one_more_call_has_ended() -> None:
    assert late_after_ends_ms(SENT, CALLS) == [10, 10]
    assert late_after_ends_ms([Sent("two", 250)], CALLS) == []


def test_an_end_comes_before_a_start_of_the_same_moment() -> None:
    assert most_at_once(CALLS) == 2
    assert most_at_once([call("a", 0, 5), call("b", 5, 9)]) == 1
