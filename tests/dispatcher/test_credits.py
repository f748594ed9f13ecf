"""What is promised, spent and asked for; on an owner that answers at once."""

from functools import partial

from headrace.dispatcher.credits import TOLD, Promise, merged
from headrace.schemas.limits import Units, Want
from headrace.schemas.names import DeploymentName
from support.dispatch import APPENDED_MS
from support.limits import TIMING, flow
from support.spender import F, Process


def test_no_more_is_dispatched_than_was_granted() -> None:
    process = Process(requests=5)
    process.queue(9)
    process.step()
    assert len(process.dispatch()) == 5
    assert process.flows.waiting(DeploymentName("d")) == 4


def test_what_is_promised_is_promised_once() -> None:
    process = Process(requests=5)
    process.queue(2)
    process.step()
    assert len(process.dispatch()) == 2
    process.queue(1)
    assert process.dispatch() == []


def test_a_promise_is_spent_once() -> None:
    process = Process(requests=5)
    process.queue(1)
    process.step()
    (promise,) = process.dispatch()
    assert process.spend(promise)
    assert process.spend(promise)
    assert process.bench.holders["one"].purse(F).spent == Units(1)


def test_a_call_that_was_not_made_leaves_its_credits_to_the_next() -> None:
    process = Process(requests=1)
    process.queue(2)
    process.step()
    (promise,) = process.dispatch()
    process.close(promise)
    assert len(process.dispatch()) == 1


def test_credits_that_lapsed_meanwhile_are_not_spent() -> None:
    process = Process(requests=5)
    process.queue(1)
    process.step()
    (promise,) = process.dispatch()
    process.bench.cut_off.add("one")
    process.bench.run(TIMING.valid_ms)
    assert not process.spend(promise)
    assert not process.credits.valid(process.bench.now)
    assert process.credits.lapses == 1


def test_promised_requests_stay_in_the_want_until_they_are_spent() -> None:
    """Else the owner would take their credits for those of the next, and grant one too few."""
    process = Process(requests=9)
    process.queue(3)
    process.step()
    promises = process.dispatch()
    assert process.wanted() == 3
    assert process.spend(promises[0])
    assert process.wanted() == 2


def test_the_first_of_a_long_queue_are_told() -> None:
    process = Process(requests=100)
    process.queue(50)
    assert process.wanted() == TOLD


def test_no_more_is_asked_for_than_there_are_seats() -> None:
    process = Process(requests=100, local=3)
    process.queue(50)
    assert process.wanted() == 3
    process.step()
    promises = process.dispatch()
    assert len(promises) == 3
    assert [process.spend(one) for one in promises] == [True] * 3
    assert process.wanted() == 1
    for one in promises[:2]:
        process.close(one)
    assert process.wanted() == 2


def test_flows_share_the_seats_that_are_free() -> None:
    process = Process(requests=100, local=8)
    tenants = [flow(f"t{number}") for number in range(4)]
    for one in tenants:
        process.queue(9, of=one)
    assert [process.wanted(one) for one in tenants] == [2] * 4


def test_where_seats_are_handed_out_nothing_is_asked_for_without_a_free_one_here() -> None:
    process = Process(seats=9, local=3)
    tenants = [flow(f"t{number}") for number in range(5)]
    for one in tenants:
        process.queue(9, of=one)
    assert sum(process.wanted(one) for one in tenants) == 3
    process.step()
    promises = process.dispatch()
    assert [process.spend(one) for one in promises] == [True] * 3
    assert sum(process.wanted(one) for one in tenants) == 0
    process.close(promises[0])
    assert sum(process.wanted(one) for one in tenants) == 1


def test_tenants_that_their_own_limits_hold_back_keep_no_seat_from_others() -> None:
    process = Process(seats=9, local=2)
    held = [flow(f"held{number}") for number in range(2)]
    process.bench.owner.hold(lambda of, _: of in held)
    for one in held:
        process.queue(1, of=one)
    process.step()
    process.queue(1, of=(late := flow("late")))
    assert process.wanted(late) == 0
    dispatched: list[Promise] = []
    for _ in range(4):
        process.step()
        dispatched += process.dispatch()
        process.wanted(late)
    assert [one.flow for one in dispatched] == [late]


def test_a_lane_leaves_what_others_reserve_of_this_process_too() -> None:
    lanes = {"interactive": {"deadline_s": 9, "reserve": 0.25}, "batch": {"deadline_s": 9}}
    process = Process(seats=9, local=4, sections={"lanes": lanes})
    low, high = flow(lane="batch"), flow(lane="interactive")
    process.queue(9, of=low)
    process.step()
    assert len(process.dispatch()) == 3
    process.queue(9, of=high)
    assert (process.wanted(low), process.wanted(high)) == (3, 1)


def test_calls_are_cut_when_their_seats_are_lost() -> None:
    process = Process(seats=2)
    process.queue(3)
    process.step()
    promises = process.dispatch()
    cut: list[int] = []
    for number, promise in enumerate(promises):
        promise.cut = partial(cut.append, number)
        assert process.spend(promise)
    assert process.credits.cut_lost() == 0
    process.close(promises[0])
    process.bench.cut_off.add("one")
    process.bench.run(TIMING.valid_ms)
    assert not process.credits.valid(process.bench.now)
    assert (process.credits.cut_lost(), cut) == (1, [1])
    assert process.credits.cut_lost() == 0


def test_who_stops_asks_for_nothing_more() -> None:
    process = Process(requests=100)
    process.queue(3)
    assert process.wanted() == 3
    process.credits.rest()
    assert process.wanted() == 0


def test_two_tenants_are_dispatched_by_their_own_credits() -> None:
    process = Process(requests=6)
    process.queue(9)
    process.queue(9, of=flow("other"))
    process.step()
    tenants = [promise.flow.tenant for promise in process.dispatch()]
    assert sorted(tenants) == ["other"] * 3 + ["t"] * 3


def test_a_deployment_without_limits_is_asked_for_nowhere() -> None:
    process = Process(requests=6)
    free = flow(deployment="free")
    process.queue(2, of=free)
    assert process.wanted(free) == 0


def test_equal_neighbours_are_told_together() -> None:
    sizes = [(APPENDED_MS + n, Units(1, size, 0)) for n, size in enumerate((5, 5, 7, 5))]
    ranks = [APPENDED_MS, APPENDED_MS + 2, APPENDED_MS + 3]
    assert merged(sizes) == [
        Want(ranks[0], 5, 0, 2),
        Want(ranks[1], 7, 0, 1),
        Want(ranks[2], 5, 0, 1),
    ]
