"""Each check on histories made by hand: what it passes, and what it finds."""

from collections.abc import Iterable

import pytest

from faults.history.check import check
from faults.history.checks.bounded_calls import bounded_calls, re_executed
from faults.history.checks.fencing import no_older_output
from faults.history.checks.letters import complete_letters
from faults.history.checks.never_early import never_early
from faults.history.checks.no_loss import no_acknowledged_loss
from faults.history.checks.offset_law import committed_has_outcome
from faults.history.checks.one_result import one_visible_result
from faults.history.checks.seats import seats_kept
from faults.history.checks.stream_law import whole_prefix_of_one_attempt
from faults.history.checks.tenants import no_foreign_answer
from faults.history.events import End, Seen, Way
from faults.history.made import DELAY, Made, answer_of
from faults.history.sse import EventDigest
from faults.history.violation import Violation
from headrace.schemas.names import Kind, Outcome
from headrace.schemas.records import Attempt

EVENTS = [b'{"n":%d}' % number for number in range(4)]


def whole() -> Made:
    """A request that went well, from its client to the commit."""
    return Made().ask().called().final().told().committed(1)


def told(found: Iterable[Violation]) -> str:
    """All that a check found, as text."""
    return "\n".join(map(str, found))


def streamed(events: int, end: End, *marks: str, code: str = "") -> Seen:
    """What a client saw of a stream with the first `events` of EVENTS."""
    digest = EventDigest()
    for event in EVENTS[:events]:
        digest.add(event)
    return Seen(
        status=200, id="r1", code=code, end=end, sha256=digest.hexdigest(), size=events, marks=marks
    )


def frames(*numbers: int) -> bytes:
    """Some of EVENTS as they stand in a stream."""
    return b"".join(b"data: %b\n\n" % EVENTS[number] for number in numbers)


def stream() -> Made:
    """A stream of four events in two chunks and a final, all in Kafka."""
    made = Made().ask(way=Way.STREAM).called().chunk(1, frames(0, 1)).chunk(2, frames(2))
    return made.final(body=frames(3) + b"data: [DONE]\n\n", seq=3)


def test_a_history_in_which_all_went_well_breaks_nothing() -> None:
    assert told(check(whole().evidence())) == ""


# P1


def test_an_accepted_request_without_an_end_is_lost() -> None:
    made = Made().ask(way=Way.DIRECT).accepted().called()
    assert "it has no end" in told(no_acknowledged_loss(made.evidence()))


def test_a_request_that_nobody_acknowledged_may_be_in_no_lane() -> None:
    made = Made().ask(enqueued=False).told(why="ClientConnectionError")
    assert not told(no_acknowledged_loss(made.evidence()))


def test_an_acknowledged_request_must_be_in_a_lane() -> None:
    made = Made().ask(enqueued=False).told()
    assert "stands in no lane" in told(no_acknowledged_loss(made.evidence()))


def test_a_client_without_an_answer_is_resolved_by_the_topics() -> None:
    made = Made().ask().called().final().told(why="TimeoutError", seen=Seen())
    assert not told(no_acknowledged_loss(made.evidence()))


def test_what_still_runs_is_not_lost_before_the_run_has_settled() -> None:
    made = Made(settled=False).ask().called()
    assert not told(no_acknowledged_loss(made.evidence()))


def test_an_end_long_after_the_deadline_is_too_late() -> None:
    made = Made().ask(at=1000).final(at=1000 + 60_000 + 30_001, outcome=Outcome.EXPIRED)
    assert "after its deadline" in told(no_acknowledged_loss(made.evidence()))


def test_a_dead_letter_and_an_answer_that_says_otherwise_are_two_ends() -> None:
    made = Made().ask().letter().final()
    assert "it is dead-lettered, and" in told(no_acknowledged_loss(made.evidence()))


def test_a_job_whose_end_no_status_tells_is_not_visible() -> None:
    made = Made().ask(way=Way.JOB, kind=Kind.JOB).accepted().called().final()
    assert "`status` does not say so" in told(no_acknowledged_loss(made.evidence()))
    assert not told(no_acknowledged_loss(made.ended().evidence()))


# P2


def test_the_first_row_of_a_job_is_its_outcome() -> None:
    made = Made().ask(way=Way.JOB, kind=Kind.JOB).accepted().final().told()
    assert not told(one_visible_result(made.ended().evidence()))


def test_a_later_row_overrides_nothing() -> None:
    made = Made().ask(way=Way.JOB, kind=Kind.JOB).accepted().final().told()
    made.ended(at=1150, outcome=Outcome.EXPIRED).ended()
    assert "the first row says expired" in told(one_visible_result(made.evidence()))


def test_a_client_sees_the_first_end() -> None:
    crash = ("kill", "dispatcher-1", 1160, 1170)
    made = Made().ask().final(at=1180).final(at=1300, body=b"two").struck(*crash)
    assert not told(one_visible_result(made.told().evidence()))


def test_a_client_that_saw_the_second_end_is_found() -> None:
    crash = ("kill", "dispatcher-1", 1160, 1170)
    made = Made().ask().final(at=1180).final(at=1300, body=b"two").struck(*crash)
    assert "end 2 of 2" in told(one_visible_result(made.told(answer=b"two").evidence()))


def test_an_answer_that_stands_nowhere_is_found() -> None:
    made = Made().ask().final().told(answer=b"other")
    assert "none of its ends" in told(one_visible_result(made.evidence()))


def test_an_error_of_the_ingress_itself_stands_in_no_topic() -> None:
    made = Made().ask().final(outcome=Outcome.CANCELLED).told(answer=b"x", code="wait_too_long")
    assert not told(one_visible_result(made.evidence()))


def test_a_second_end_without_a_fault_is_found() -> None:
    made = Made().ask().final().final(at=1190).told()
    assert "no fault that explains them" in told(one_visible_result(made.evidence()))


def test_two_clients_never_share_an_id() -> None:
    made = Made().ask().final().told().ask(at=1001, body=b"{}", enqueued=False).told()
    assert "two clients got an answer" in told(one_visible_result(made.evidence()))


def test_requests_with_one_key_get_one_answer() -> None:
    made = Made().ask(way=Way.KEYED, key="k").final().told()
    again = made.ask(way=Way.KEYED, key="k", enqueued=False).told(answer=b"another")
    assert "2 different answers" in told(one_visible_result(again.evidence()))


# P3


def test_a_call_for_each_recorded_attempt_is_allowed() -> None:
    made = Made().ask().called(status=500).called(at=1200, until=1250).final(attempts=2)
    assert not told(bounded_calls(made.evidence()))


def test_a_call_that_nothing_recorded_is_found() -> None:
    made = Made().ask().called(status=500).called(at=1200, until=1250).final(attempts=1)
    assert "2 calls, 1 attempts recorded, 0 held" in told(bounded_calls(made.evidence()))


def test_a_crash_explains_one_more_call_for_what_it_held() -> None:
    made = Made().ask().called(cut=True).called(at=7000, until=7050).final(at=7060)
    assert not told(bounded_calls(made.struck("kill", "dispatcher-1", 1149, 1160).evidence()))


@pytest.mark.parametrize("who", ["ingress", "kafka"])
def test_only_a_dispatchers_crash_explains_calls(who: str) -> None:
    made = Made().ask().called(cut=True).called(at=7000, until=7050).final(at=7060)
    assert told(bounded_calls(made.struck("kill", who, 1149, 1160).evidence()))


def test_a_crash_long_after_the_call_explains_nothing() -> None:
    made = Made().ask().called().called(at=7000, until=7050).final(at=7060)
    found = told(bounded_calls(made.struck("kill", "dispatcher-1", 5000, 5010).evidence()))
    assert "called again after a whole answer" in found


def test_two_calls_at_the_same_time_are_found() -> None:
    made = Made().ask().called(until=1300, status=500).called(at=1200).final(attempts=2)
    assert "ran at the same time" in told(bounded_calls(made.evidence()))


def test_a_dropped_call_that_was_made_again_counts_as_re_executed() -> None:
    made = Made().ask().called(cut=True).called(at=1300, status=500).called(at=1400)
    assert re_executed(made.evidence()) == (1, 0)
    made.struck("kill", "dispatcher-1", 1140, 1160)
    assert re_executed(made.evidence()) == (1, 1)


def test_all_calls_of_a_request_carry_one_key() -> None:
    made = Made().ask().called(status=500, key="a").called(at=1200, key="b").final(attempts=2)
    assert "2 idempotency keys" in told(bounded_calls(made.evidence()))


def test_a_call_with_another_body_is_found() -> None:
    made = Made().ask().called(body=b"{}").final()
    assert "another body than its record has" in told(bounded_calls(made.evidence()))


# P4


def test_a_commit_after_the_outcome_is_allowed() -> None:
    assert not told(committed_has_outcome(whole().evidence()))


def test_a_commit_before_the_outcome_is_found() -> None:
    made = Made().ask().final(at=1800).committed(1, at=1500)
    assert "its outcome: 300 ms later" in told(committed_has_outcome(made.evidence()))


def test_a_commit_without_any_outcome_is_found() -> None:
    assert "its outcome: none" in told(committed_has_outcome(Made().ask().committed(1).evidence()))


def test_a_commit_up_to_a_record_does_not_pass_it() -> None:
    assert not told(committed_has_outcome(Made().ask().committed(0).evidence()))


def test_a_retry_record_is_an_outcome_of_the_lane_and_needs_one_itself() -> None:
    made = Made().ask().delayed(at=1160).committed(1, at=1500)
    assert not told(committed_has_outcome(made.evidence()))
    made.committed(1, at=1600, topic=DELAY)
    assert "delay.standard.1s-0@0" in told(committed_has_outcome(made.evidence()))


def test_a_repeated_record_is_answered_for_by_the_first() -> None:
    made = Made().ask().final().ask(at=1300).committed(2)
    assert "@1" in told(committed_has_outcome(made.evidence()))
    assert not told(committed_has_outcome(made.noted(1, "duplicate").evidence()))


# P5


def test_calls_up_to_the_seats_are_allowed() -> None:
    made = Made(seats={"small": 2}).ask().called(until=1200).called(at=1150, until=1300)
    assert not told(seats_kept(made.called(at=1200).evidence()))


def test_a_call_beyond_the_seats_is_found() -> None:
    made = Made(seats={"small": 1}).ask().called(until=1200).called(at=1150, until=1300)
    assert "2 calls at once, 1 seats" in told(seats_kept(made.evidence()))


# P6


def test_a_retry_at_its_due_time_is_allowed() -> None:
    made = Made().ask().called(status=429).delayed(due=4160).called(at=4160, until=4200)
    assert not told(never_early(made.evidence()))


def test_a_retry_before_its_due_time_is_found() -> None:
    made = Made().ask().called(status=429).delayed(due=4160).called(at=4100, until=4200)
    assert "called 60 ms before it was due" in told(never_early(made.evidence()))


def test_a_call_sooner_than_the_upstream_asked_for_is_found() -> None:
    made = Made(retry_after_ms=1_000).ask().called(at=1100, status=429).called(at=1900)
    assert "800 ms after a 429" in told(never_early(made.evidence()))


def test_a_call_before_the_time_that_its_client_named_is_found() -> None:
    made = Made().ask(not_before=5_000).called(at=1100).final().told()
    assert "its client named" in told(never_early(made.evidence()))


# P8


def test_an_answer_to_the_own_request_is_allowed() -> None:
    assert not told(no_foreign_answer(whole().evidence()))


def test_an_answer_to_another_tenants_request_is_found() -> None:
    made = Made().ask().final().told().ask("r2", tenant="bob").final("r2")
    made.told("r2", answer=answer_of("r1"))
    assert "bob got the answer to another tenant's" in told(no_foreign_answer(made.evidence()))


def test_an_answer_in_another_tenants_topic_is_found() -> None:
    made = Made().ask(way=Way.DIRECT).final(topic="t.own.bob")
    assert "an answer for ann in the topic of bob" in told(no_foreign_answer(made.evidence()))


def test_a_job_that_another_tenant_is_given_is_found() -> None:
    made = Made().ask(way=Way.JOB).final().told()
    made.ask("peek", way=Way.PEEK, tenant="bob", body=b"-", enqueued=False).told("peek")
    assert "bob was given a request of another tenant" in told(no_foreign_answer(made.evidence()))


def test_a_key_that_another_tenant_took_is_found() -> None:
    made = Made().ask(way=Way.KEYED, key="k", tenant="bob", owner="ann").final().told()
    assert "bob was given the request of ann" in told(no_foreign_answer(made.evidence()))


def test_a_refusal_for_the_body_of_another_tenant_is_found() -> None:
    made = Made().ask(way=Way.KEYED, key="k").told(code="idempotency_mismatch")
    assert "sent none under this key" in told(no_foreign_answer(made.evidence()))


# P11


def test_a_whole_stream_of_one_attempt_is_allowed() -> None:
    made = stream().told(seen=streamed(4, End.DONE, "chatcmpl-1", "fp_1"))
    assert not told(whole_prefix_of_one_attempt(made.evidence()))


def test_a_prefix_with_an_explicit_error_is_allowed() -> None:
    made = stream().told(seen=streamed(2, End.ERROR_EVENT, code="reply_lost"))
    assert not told(whole_prefix_of_one_attempt(made.evidence()))


def test_a_prefix_that_ends_as_if_it_were_whole_is_found() -> None:
    made = stream().told(seen=streamed(3, End.DONE))
    assert "the attempt has more" in told(whole_prefix_of_one_attempt(made.evidence()))


def test_a_stream_that_ends_without_a_word_is_found() -> None:
    made = stream().told(seen=streamed(2, End.SILENT))
    assert "ended without a word" in told(whole_prefix_of_one_attempt(made.evidence()))


def test_a_broken_connection_needs_a_fault() -> None:
    made = stream().told(seen=streamed(2, End.CUT), why="ClientPayloadError", at=1500)
    assert "no fault explains it" in told(whole_prefix_of_one_attempt(made.evidence()))
    made.struck("kill", "ingress", 1400, 1450)
    assert not told(whole_prefix_of_one_attempt(made.evidence()))


def test_events_of_two_attempts_are_found() -> None:
    made = stream().told(seen=streamed(4, End.DONE, "fp_1", "fp_2"))
    assert "several attempts" in told(whole_prefix_of_one_attempt(made.evidence()))


def test_events_that_are_no_attempts_beginning_are_found() -> None:
    made = Made().ask(way=Way.STREAM).called().chunk(1, frames(1, 0))
    made.final(body=b"data: [DONE]\n\n", seq=2).told(seen=streamed(2, End.DONE))
    assert "the beginning of no attempt" in told(whole_prefix_of_one_attempt(made.evidence()))


def test_a_completed_stream_with_a_gap_is_found() -> None:
    made = Made().ask(way=Way.STREAM).chunk(1, frames(0)).final(body=frames(3), seq=3)
    assert "chunks [1] before a final" in told(whole_prefix_of_one_attempt(made.evidence()))


# P13


def test_a_commit_that_goes_back_is_found() -> None:
    made = Made().ask().final().committed(1).committed(0, at=1600)
    assert "a commit of 0 after one of 1" in told(no_older_output(made.evidence()))


def test_positions_that_grow_are_allowed() -> None:
    assert not told(no_older_output(whole().committed(1, at=1600).evidence()))


def test_an_attempt_of_two_processes_needs_a_crash() -> None:
    made = Made().ask().called().final().final(at=1190, process="d-2")
    assert "attempt 1 has output of 2 processes" in told(no_older_output(made.evidence()))
    made.struck("kill", "dispatcher-1", 1140, 1145)
    assert not told(no_older_output(made.evidence()))


def test_an_answer_that_a_newer_attempt_had_overtaken_is_found() -> None:
    made = Made().ask().final(at=1180, attempt=2, body=b"two").final(at=1190, process="d-2")
    assert "overtaken by a newer one" in told(no_older_output(made.told().evidence()))


# P15


def dead(**letter: object) -> Made:
    """A request that was given up after two calls."""
    made = Made().ask().called(status=500).called(at=1200, until=1250, status=500)
    return made.letter(**letter)  # type: ignore[arg-type]  # a test names what it changes


def attempts(*statuses: int) -> tuple[Attempt, ...]:
    """A history of attempts that were answered so."""
    return tuple(
        Attempt(number, 1100, "small", status, "")  # type: ignore[arg-type]  # a name
        for number, status in enumerate(statuses, 1)
    )


def test_a_complete_dead_letter_is_allowed() -> None:
    made = dead(history=attempts(500, 500)).final(outcome=Outcome.DEAD_LETTERED, attempts=2)
    assert not told(complete_letters(made.evidence()))


def test_a_dead_lettered_request_without_its_letter_is_found() -> None:
    made = Made().ask().called(status=500).final(outcome=Outcome.DEAD_LETTERED)
    assert "there is no dead letter" in told(complete_letters(made.evidence()))


def test_another_value_than_the_requests_is_found() -> None:
    made = dead(history=attempts(500, 500), value=b"{ }")
    assert "byte for byte" in told(complete_letters(made.evidence()))


def test_a_letter_without_a_reason_is_found() -> None:
    made = dead(history=attempts(500, 500), reason="")
    assert "no reason" in told(complete_letters(made.evidence()))


@pytest.mark.parametrize("statuses", [(), (500,), (500, 502)])
def test_a_history_that_hides_or_invents_an_attempt_is_found(statuses: tuple[int, ...]) -> None:
    made = dead(history=attempts(*statuses))
    assert "its history tells" in told(complete_letters(made.evidence()))
