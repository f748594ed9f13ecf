"""P1 and P2 on histories made by hand: what the checks pass, and what they find."""

from faults.history.check import check
from faults.history.checks.no_loss import no_acknowledged_loss
from faults.history.checks.one_result import one_visible_result
from faults.history.events import Seen, Way
from faults.history.made import Made
from faults.history.telling import told, whole
from headrace.schemas.names import Kind, Outcome


def test_a_history_in_which_all_went_well_breaks_nothing() -> None:
    assert told(check(whole().evidence())) == ""


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
