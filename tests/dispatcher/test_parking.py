"""Which calls are too slow for their partition to wait."""

import pytest

from headrace.dispatcher.parking import YOUNG_S, ParkingPolicy
from headrace.dispatcher.tenure import Tenure
from headrace.dispatcher.waiting import Waiting
from support.dispatch import Record, tenure, waiting

POLICY = ParkingPolicy(after_s=30, behind=3, window=20, longest_call_ms=600_000)
BEGAN_S = 100.0


def call(*, done: int, read: int = 10) -> tuple[Tenure, Waiting]:
    """A call at the head of its partition, with so many read and done behind it."""
    owner = tenure()
    for offset in range(read):
        owner.admit(Record(offset=offset))
    for offset in range(1, done + 1):
        owner.finished(offset)
    request = waiting(owner=owner)
    request.began_s = BEGAN_S
    owner.started(0, 1)
    return owner, request


@pytest.mark.parametrize(
    ("done", "age_s", "due"), [(3, 30, True), (3, 29, False), (2, 3000, False)]
)
def test_a_slow_call_is_parked_once_enough_is_done_behind_it(
    done: int, age_s: float, due: bool
) -> None:
    _, request = call(done=done)
    assert POLICY.due(request, BEGAN_S + age_s) is due


def test_a_full_window_parks_its_head_soon() -> None:
    _, request = call(done=0, read=19)
    assert POLICY.due(request, BEGAN_S + YOUNG_S)
    assert not POLICY.due(request, BEGAN_S + YOUNG_S / 2)


def test_a_call_is_parked_once() -> None:
    _, request = call(done=3)
    request.copied = True
    assert not POLICY.due(request, BEGAN_S + 60)


def test_a_slow_call_of_a_partition_that_another_owns_is_parked_for_its_sake() -> None:
    owner, request = call(done=0)
    owner.owned = False
    assert POLICY.due(request, BEGAN_S + 30)


def test_a_call_that_others_have_given_up_is_not_parked() -> None:
    owner, request = call(done=3)
    owner.owned, owner.forsaken = False, True
    assert not POLICY.due(request, BEGAN_S + 60)
