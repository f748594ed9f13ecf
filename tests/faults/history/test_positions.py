"""P4, P13 and P15 on histories made by hand: what the checks pass, and what they find."""

import pytest

from faults.history.checks.fencing import no_older_output
from faults.history.checks.letters import complete_letters
from faults.history.checks.offset_law import committed_has_outcome
from faults.history.made import Made
from faults.history.made_topics import DELAY
from faults.history.telling import told, whole
from headrace.schemas.names import Outcome
from headrace.schemas.records import Attempt


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
