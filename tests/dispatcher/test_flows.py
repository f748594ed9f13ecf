"""Queues of requests that wait for credits: by rank, lane and tenant."""

from collections import Counter

import msgspec

from headrace.dispatcher.flows import FlowQueues
from headrace.dispatcher.waiting import Waiting
from headrace.schemas.limits import Flow
from headrace.schemas.names import DeploymentName, LaneName
from support.dispatch import APPENDED_MS, waiting
from support.limits import flow

HIGH, LOW = LaneName("high"), LaneName("low")
D = DeploymentName("d")


def request(of: Flow, rank: int = 0) -> Waiting:
    one = waiting(lane=of.lane)
    one.flow = of
    one.source = msgspec.structs.replace(one.source, timestamp_ms=APPENDED_MS + rank)
    return one


def queues(*requests: Waiting, share: float = 0.0) -> FlowQueues:
    out = FlowQueues([HIGH, LOW], share)
    for one in requests:
        out.push(one)
    return out


def every(_waiting: Waiting) -> bool:
    return True


def test_a_flow_is_served_in_the_order_of_acceptance() -> None:
    of = flow(lane="low")
    first, second, third = (request(of, rank) for rank in range(3))
    queue = queues(second, third, first)
    assert [queue.pick(D, every) for _ in range(4)] == [first, second, third, None]


def test_a_lane_may_let_the_earliest_deadline_go_first() -> None:
    of = flow(lane="low")
    late, early, middle = (request(of, rank) for rank in range(3))
    for one, left_ms in ((late, 900), (early, 100), (middle, 500)):
        one.by_deadline, one.deadline_ms = True, APPENDED_MS + left_ms
    queue = queues(late, early, middle)
    assert [queue.pick(D, every) for _ in range(3)] == [early, middle, late]


def test_one_that_comes_back_has_its_place_again() -> None:
    of = flow(lane="low")
    requests = [request(of, rank) for rank in range(4)]
    queue = queues(*requests)
    back = queue.pick(D, every)
    assert back is not None
    queue.push(back)
    assert queue.first(of, 9) == requests


def test_one_that_its_breaker_does_not_let_pass_holds_nobody_up() -> None:
    of = flow(lane="low")
    failed, second, third = (request(of, rank) for rank in range(3))
    queue = queues(failed, second, third)
    assert queue.pick(D, every, lambda one: one is not failed) is second
    assert queue.pick(D, lambda one: one is not third, lambda one: one is not failed) is None
    assert queue.pick(D, every) is failed
    assert queue.length(of) == 1


def test_a_higher_lane_goes_first_where_both_are_covered() -> None:
    low, high = request(flow(lane="low")), request(flow(lane="high"), 5)
    queue = queues(low, high)
    assert queue.pick(D, every) is high
    assert queue.pick(D, lambda one: one is not low) is None
    assert queue.pick(D, every) is low


def test_a_share_goes_below_a_busy_lane() -> None:
    requests = [request(flow(lane=lane)) for lane in ("high", "low") for _ in range(20)]
    queue = queues(*requests, share=0.5)
    picked = [queue.pick(D, every) for _ in range(10)]
    assert Counter(one.lane for one in picked if one)[LOW] == 5


def test_tenants_of_a_lane_take_turns() -> None:
    requests = [request(flow(who, lane="low")) for who in ("a", "b") for _ in range(3)]
    queue = queues(*requests)
    picked = [queue.pick(D, every) for _ in range(6)]
    assert [one.flow.tenant for one in picked if one and one.flow] == ["a", "b"] * 3


def test_whoever_is_taken_out_is_counted_no_more() -> None:
    one, other = request(flow(lane="low")), request(flow("other", lane="high"))
    queue = queues(one, other)
    queue.changed.clear()
    assert queue.take(lambda each: each is one) == [one]
    assert queue.waiting(D) == 1
    assert queue.changed == {one.flow}
    queue.remove(other)
    assert queue.deployments() == []
