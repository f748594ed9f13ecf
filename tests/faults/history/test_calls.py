"""P3, P5 and P6 on histories made by hand: what the checks pass, and what they find."""

import pytest

from faults.history.checks.bounded_calls import bounded_calls, re_executed
from faults.history.checks.never_early import never_early
from faults.history.checks.seats import seats_kept
from faults.history.made import Made
from faults.history.telling import told


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


def test_calls_up_to_the_seats_are_allowed() -> None:
    made = Made(seats={"small": 2}).ask().called(until=1200).called(at=1150, until=1300)
    assert not told(seats_kept(made.called(at=1200).evidence()))


def test_a_call_beyond_the_seats_is_found() -> None:
    made = Made(seats={"small": 1}).ask().called(until=1200).called(at=1150, until=1300)
    assert "2 calls at once, 1 seats" in told(seats_kept(made.evidence()))


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
