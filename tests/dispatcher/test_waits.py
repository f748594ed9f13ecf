"""Requests that wait in this process: within bounds, never woken early, all to be found."""

from headrace.dispatcher.waiting import Waiting, unbarred_ms
from headrace.dispatcher.waits import DELAY_AHEAD, LOOK_AGAIN_MS, Waits
from headrace.schemas.config.model import DispatcherConfig
from headrace.schemas.names import DeploymentName
from support.dispatch import APPENDED_MS, tenure, waiting

NOW_MS = APPENDED_MS


def waits(**limits: float) -> Waits:
    return Waits(DispatcherConfig.model_validate(limits))


def woken(some: Waits, at_ms: int) -> list[int]:
    """Offsets of what wakes by then."""
    return [one.offset for one in some.due(at_ms)]


def test_a_short_wait_stays_here_and_ends_at_its_time() -> None:
    some, one = waits(), waiting(offset=1)
    assert some.keep(one, NOW_MS + 2_000, NOW_MS)
    assert (some.next_ms(), one.due_ms) == (NOW_MS + 2_000, NOW_MS + 2_000)
    assert woken(some, NOW_MS + 1_999) == []
    assert woken(some, NOW_MS + 2_000) == [1]


def test_a_long_wait_does_not_stay_here() -> None:
    assert not waits().keep(waiting(), NOW_MS + 2_001, NOW_MS)


def test_no_more_wait_here_than_is_allowed() -> None:
    some = waits(memory_retries=1)
    assert some.keep(waiting(), NOW_MS + 1, NOW_MS)
    assert not some.keep(waiting(), NOW_MS + 1, NOW_MS)


def test_nothing_begins_to_wait_in_a_process_that_stops() -> None:
    some = waits()
    some.closed = True
    assert not some.keep(waiting(), NOW_MS + 1, NOW_MS)


def test_what_matures_takes_no_room_from_retries() -> None:
    some = waits(memory_retries=1)
    some.mature(waiting(offset=1), NOW_MS + 10_000)
    assert some.keep(waiting(offset=2), NOW_MS + 1_000, NOW_MS)
    assert len(some) == 2
    assert woken(some, NOW_MS + 10_000) == [1, 2]


def test_what_found_no_seat_looks_again_soon_within_the_bound() -> None:
    some, too_much = waits(memory_retries=2), waiting(offset=2)
    assert some.look_again(waiting(offset=0), NOW_MS)
    assert some.look_again(waiting(offset=1), NOW_MS)
    assert not some.look_again(too_much, NOW_MS)
    assert too_much.due_ms == NOW_MS + LOOK_AGAIN_MS
    assert woken(some, NOW_MS + LOOK_AGAIN_MS - 1) == []
    assert woken(some, NOW_MS + LOOK_AGAIN_MS) == [0, 1]


def test_whatever_waits_can_be_taken_out() -> None:
    some, owner = waits(), tenure()
    some.mature(waiting(offset=1, owner=owner), NOW_MS + 60_000)
    some.keep(waiting(offset=2, owner=owner), NOW_MS + 1_000, NOW_MS)
    some.keep(waiting(offset=3), NOW_MS + 1_000, NOW_MS)
    taken = some.take(lambda one: one.tenure is owner)
    assert sorted(one.offset for one in taken) == [1, 2]
    assert woken(some, NOW_MS + 60_000) == [3]


def test_of_each_delay_partition_only_few_records_wait_in_memory() -> None:
    """A hundred thousand retries over all partitions took three times the memory they may."""
    some, owner, other = waits(), tenure(delay_ms=600_000), tenure(delay_ms=600_000)
    for offset in range(DELAY_AHEAD):
        assert some.room(owner)
        some.mature(waiting(offset=offset, owner=owner), NOW_MS + offset)
    assert not some.room(owner)
    assert some.room(other)
    some.due(NOW_MS)
    assert some.room(owner)


def barred(**until_ms: int) -> Waiting:
    one = waiting()
    one.barred = {DeploymentName(name): at for name, at in until_ms.items()}
    return one


def test_a_retry_that_leaves_waits_until_nobody_asks_to_be_left_alone() -> None:
    one = barred(east=NOW_MS + 9_000, west=NOW_MS + 4_000)
    assert unbarred_ms(one, NOW_MS + 5_000) == NOW_MS + 9_000
    assert unbarred_ms(one, NOW_MS + 10_000) == NOW_MS + 10_000


def test_a_deployment_that_is_barred_for_good_is_not_waited_for() -> None:
    one = barred(east=waiting().deadline_ms)
    assert unbarred_ms(one, NOW_MS + 5_000) == NOW_MS + 5_000
