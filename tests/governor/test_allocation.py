"""Who is granted first: lanes, tenants, dispatchers, and large requests among small ones."""

from headrace.dispatcher.governor.allocation import AllocationPolicy
from headrace.dispatcher.governor.tree import Caps, Scope, Tree
from headrace.schemas.limits import Flow
from headrace.schemas.names import Tenant
from support.credits import LANES, Bench
from support.limits import flow, tree

F = flow()
WINDOW_MS = 10_000


def test_a_higher_lane_goes_first() -> None:
    bench = Bench(tree(requests=4), "one")
    low, high = flow(lane="batch"), flow(lane="interactive")
    bench.queue("one", low, (9, 0, 0))
    bench.queue("one", high, (3, 0, 0))
    bench.step()
    assert (bench.spend_all("one", high), bench.spend_all("one", low)) == (3, 1)


def test_a_lower_lane_is_not_starved() -> None:
    bench = Bench(tree(requests=20), "one")
    low, high = flow(lane="batch"), flow(lane="interactive")
    lows = 0
    for _ in range(600):
        bench.queue("one", low, (50, 0, 0))
        bench.queue("one", high, (50, 0, 0))
        bench.step()
        bench.spend_all("one", high)
        lows += bench.spend_all("one", low)
    assert 8 <= lows <= 14


def test_a_lanes_reserve_is_left_alone_by_the_others() -> None:
    others = Scope("others", Caps(requests=6), WINDOW_MS, lanes=frozenset({"batch"}))
    limits = Tree((Scope("all", Caps(requests=10), WINDOW_MS), others))
    bench = Bench(limits, "one")
    low, high = flow(lane="batch"), flow(lane="interactive")
    bench.queue("one", low, (50, 0, 0))
    bench.run(500)
    assert bench.spend_all("one", low) == 6
    bench.queue("one", high, (9, 0, 0))
    bench.step()
    assert bench.spend_all("one", high) == 4


def test_tenants_share_by_weight() -> None:
    policy = AllocationPolicy(LANES, weights={Tenant("b"): 3.0}, burst=10.0)
    bench = Bench(tree(requests=40), "one", policy=policy)
    a, b = flow("a"), flow("b")
    bench.queue("one", a, (99, 0, 0))
    bench.queue("one", b, (99, 0, 0))
    bench.step()
    assert (bench.spend_all("one", a), bench.spend_all("one", b)) == (10, 30)


def test_a_deployment_that_is_held_back_gets_its_share_and_holds_nobody_up() -> None:
    bench = Bench(tree(requests=40), "one", policy=AllocationPolicy(LANES))
    east, west = flow(deployment="east"), flow(deployment="west")
    shares = {"east": 0.0}
    bench.owner.hold_back(lambda name: shares.get(name, 1.0))
    bench.queue("one", east, (9, 0, 0))
    bench.queue("one", west, (5, 0, 0))
    bench.step()
    assert (bench.spend_all("one", east), bench.spend_all("one", west)) == (0, 5)
    shares["east"] = 0.1
    bench.step()
    assert 1 <= bench.spend_all("one", east) <= 4
    shares["east"] = 1.0
    bench.run(3_000)
    assert bench.spend_all("one", east) >= 5


def test_nobody_passes_by_a_large_request_that_waits_for_room() -> None:
    bench = Bench(tree(total_tokens=100), "one")
    small, large = flow("small"), flow("large")
    bench.queue("one", small, (9, 0, 10))
    bench.step()
    assert bench.spend_all("one", small, 0, 10) == 9
    bench.queue("one", large, (1, 0, 80))
    bench.queue("one", small, (9, 0, 10))
    bench.run(10_000)
    assert bench.spend("one", small, 0, 10) is None
    bench.run(1_000)
    assert bench.spend("one", large, 0, 80) is not None


def waiting_for(size: int, small: Flow, large: Flow) -> Bench:
    """Of 100 tokens 60 were spent by one tenant and 30, five seconds later, by another who wants more."""
    bench = Bench(tree(total_tokens=100), "one")
    bench.queue("one", small, (6, 0, 10))
    bench.step()
    assert bench.spend_all("one", small, 0, 10) == 6
    bench.queue("one", small)
    bench.run(5_000)
    bench.queue("one", large, (1, 0, 30))
    bench.step()
    assert bench.spend("one", large, 0, 30) is not None
    bench.queue("one", large, (1, 0, size))
    bench.queue("one", small, (9, 0, 10))
    bench.step()
    return bench


def test_a_small_request_passes_by_if_the_large_one_waits_no_longer_for_it() -> None:
    small, large = flow("small"), flow("large")
    bench = waiting_for(80, small, large)
    assert bench.spend_all("one", small, 0, 10) == 1
    bench.run(9_900)
    assert bench.spend("one", large, 0, 80) is None
    bench.run(1_000)
    assert bench.spend("one", large, 0, 80) is not None


def test_a_small_request_does_not_pass_by_if_the_large_one_would_wait_longer() -> None:
    small, large = flow("small"), flow("large")
    bench = waiting_for(70, small, large)
    bench.run(4_000)
    assert bench.spend("one", small, 0, 10) is None
    bench.run(2_000)
    assert bench.spend("one", large, 0, 70) is not None


def test_lower_lanes_do_not_pass_by_a_request_that_waits() -> None:
    small, large = flow("small", lane="batch"), flow("large")
    bench = waiting_for(80, small, large)
    assert bench.spend("one", small, 0, 10) is None


def test_nobody_gets_ahead_of_whom_not_all_requests_are_told() -> None:
    bench = Bench(tree(total_tokens=10_000), "one")
    many, large = flow("many"), flow("large")
    bench.queue("one", many, (16, 0, 10))
    bench.queue("one", large, (9, 0, 160))
    bench.step()
    assert bench.spend_all("one", many, 0, 10) == 16
    assert bench.spend_all("one", large, 0, 160) == 2
    bench.queue("one", many)
    bench.queue("one", large, (7, 0, 160))
    bench.run(300)
    assert bench.spend_all("one", large, 0, 160) == 7


def test_who_is_refused_by_a_limit_of_its_own_holds_nobody_up() -> None:
    share = Scope("share", Caps(requests=1), WINDOW_MS, tenants=frozenset({"a"}))
    bench = Bench(Tree((Scope("all", Caps(requests=10), WINDOW_MS), share)), "one")
    a, b = flow("a"), flow("b")
    bench.queue("one", a, (5, 0, 0))
    bench.queue("one", b, (5, 0, 0))
    bench.step()
    assert (bench.spend_all("one", a), bench.spend_all("one", b)) == (1, 5)


def test_a_request_larger_than_a_limit_holds_nobody_up() -> None:
    bench = Bench(tree(total_tokens=100), "one")
    bench.queue("one", F, (1, 0, 101), (1, 0, 50))
    bench.step()
    assert bench.spend("one", F, 0, 50) is not None


def test_the_oldest_request_of_all_dispatchers_goes_first() -> None:
    bench = Bench(tree(requests=1), "one", "two")
    bench.queue("two", F, (1, 0, 0))
    bench.now += 50
    bench.queue("one", F, (1, 0, 0))
    bench.step()
    assert bench.spend("two", F) is not None


def test_a_whole_limit_may_be_used_at_once() -> None:
    bench = Bench(tree(requests=100), "one", policy=AllocationPolicy(LANES))
    bench.queue("one", F, (100, 0, 0))
    bench.step()
    assert bench.spend_all("one", F) == 100


def test_a_lanes_pace_leaves_room_for_a_higher_one_that_is_in_use() -> None:
    bench = Bench(tree(requests=100), "one", policy=AllocationPolicy(LANES))
    bench.queue("one", flow(lane="interactive"), (1, 0, 0))
    bench.step()
    bench.queue("one", F, (99, 0, 0))
    bench.step()
    assert 19 <= bench.spend_all("one", F) <= 22
