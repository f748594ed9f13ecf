"""The decision before a call, in the order in which its reasons count."""

import pytest

from headrace.dispatcher.policy.decide import decide
from headrace.dispatcher.verdicts import Before, Cancel, Defer, Dispatch, Drop, Expire
from headrace.dispatcher.waiting import Waiting
from headrace.schemas.names import DeploymentName
from support.dispatch import APPENDED_MS, tenure, waiting

EAST = DeploymentName("east")


def verdict(
    request: Waiting,
    *,
    late_ms: int = -1,
    cancelled: bool = False,
    deployment: DeploymentName | None = EAST,
    slow_ms: int = 0,
) -> Before:
    """The verdict `late_ms` after the deadline."""
    now_ms = request.deadline_ms + late_ms
    return decide(
        request, now_ms=now_ms, cancelled=cancelled, deployment=deployment, slow_ms=slow_ms
    )


def test_a_request_with_a_seat_is_dispatched() -> None:
    assert verdict(waiting()) == Dispatch(EAST)


def test_a_request_without_a_seat_is_deferred() -> None:
    assert verdict(waiting(), deployment=None) == Defer()


@pytest.mark.parametrize("late_ms", [0, 1, 10**9])
def test_a_request_at_its_deadline_has_expired(late_ms: int) -> None:
    assert verdict(waiting(), late_ms=late_ms) == Expire()


def test_a_cancelled_request_is_cancelled_even_when_it_also_expired() -> None:
    assert verdict(waiting(), cancelled=True, late_ms=5) == Cancel()


def test_a_request_of_a_lost_partition_is_left_to_its_new_owner() -> None:
    owner = tenure()
    request = waiting(owner=owner)
    owner.owned = False
    assert isinstance(verdict(request, cancelled=True, late_ms=5), Drop)


def test_a_request_begun_here_is_finished_here_after_the_partition_is_lost() -> None:
    owner = tenure()
    request = waiting(owner=owner)
    owner.owned = False
    request.started = True
    assert verdict(request) == Dispatch(EAST)


def test_the_default_deadline_counts_from_the_record_not_from_the_read() -> None:
    assert waiting().deadline_ms == APPENDED_MS + 3_600_000


def test_no_call_is_begun_that_would_hardly_end_before_the_deadline() -> None:
    assert isinstance(verdict(waiting(), late_ms=-99, slow_ms=100), Expire)
    assert verdict(waiting(), late_ms=-100, slow_ms=100) == Dispatch(EAST)


def test_who_came_with_little_time_is_tried_all_the_same() -> None:
    request = waiting()
    fresh = request.source.timestamp_ms - request.deadline_ms
    assert verdict(request, late_ms=fresh, slow_ms=10**9) == Dispatch(EAST)
