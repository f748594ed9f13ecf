"""Seats: held by being reported in use, back when a call ends or its dispatcher is gone."""

from math import exp, factorial

import pytest

from headrace.dispatcher.governor.holder import URGENT_MS, Ticket
from headrace.dispatcher.governor.ledger import Ledger
from headrace.dispatcher.governor.lending import Lending, surely_back
from headrace.dispatcher.governor.tree import Caps, Dimension, Scope, Tree
from support.credits import Bench
from support.limits import TIMING, flow, tree

F = flow()


def begin(bench: Bench, name: str = "one") -> Ticket:
    """The only request that the dispatcher has is called."""
    bench.queue(name, F, (1, 0, 0))
    bench.step()
    ticket = bench.spend(name, F)
    assert ticket is not None
    bench.queue(name, F)
    return ticket


def test_no_more_calls_run_than_there_are_seats() -> None:
    bench = Bench(tree(seats=3), "one", "two")
    for name in bench.holders:
        bench.queue(name, F, (9, 0, 0))
    bench.run(2_000)
    assert sum(bench.spend_all(name, F) for name in bench.holders) == 3
    bench.run(30_000)
    assert sum(bench.spend_all(name, F) for name in bench.holders) == 0


def test_a_seat_goes_to_the_next_when_its_call_ends() -> None:
    bench = Bench(tree(seats=1), "one", "two")
    ticket = begin(bench)
    bench.queue("two", F, (1, 0, 0))
    bench.run(1_000)
    assert bench.spend("two", F) is None
    bench.holders["one"].release(ticket, bench.now)
    bench.run(200)
    assert bench.spend("two", F) is not None


def test_the_end_of_a_call_is_told_at_once_where_somebody_waits() -> None:
    bench = Bench(tree(seats=1), "one", "two")
    ticket = begin(bench)
    bench.queue("two", F, (1, 0, 0))
    bench.run(500)
    holder = bench.holders["one"]
    holder.report(bench.now)
    holder.release(ticket, bench.now)
    assert holder.due_ms() == bench.now + URGENT_MS
    bench.owner.hear(holder.report(bench.now + URGENT_MS), bench.now + URGENT_MS)
    assert bench.owner.pressed


def test_the_end_of_a_call_is_no_hurry_where_nobody_waits() -> None:
    bench = Bench(tree(seats=2), "one")
    ticket = begin(bench)
    bench.run(3_000)
    holder = bench.holders["one"]
    holder.report(bench.now)
    holder.release(ticket, bench.now)
    assert holder.due_ms() == bench.now + TIMING.tick_ms
    bench.owner.hear(holder.report(bench.now), bench.now)
    assert not bench.owner.pressed


def test_nobody_waits_any_more_a_while_after_the_queue_is_empty() -> None:
    bench = Bench(tree(seats=1), "one", "two")
    begin(bench)
    bench.queue("two", F, (1, 0, 0))
    bench.run(1_000)
    assert bench.holders["one"].purse(F).sought
    bench.queue("two", F)
    bench.run(3_000)
    assert not bench.holders["one"].purse(F).sought


def test_the_seats_of_a_dead_dispatcher_are_back_within_11_seconds() -> None:
    bench = Bench(tree(seats=1), "one", "two")
    begin(bench)
    bench.queue("two", F, (1, 0, 0))
    bench.run(1_000)
    del bench.holders["one"]
    bench.run(9_000)
    assert bench.spend("two", F) is None
    bench.run(2_000)
    assert bench.spend("two", F) is not None


def test_a_lapse_is_due_when_it_happens_and_not_with_the_next_report() -> None:
    bench = Bench(tree(seats=1), "one")
    ticket = begin(bench)
    bench.run(1_000)
    holder = bench.holders["one"]
    lapse_ms = holder.lapse_ms()
    for now_ms in range(bench.now, lapse_ms + 1):
        if holder.due_ms() <= now_ms:
            holder.report(now_ms)
    assert not holder.holds(ticket)


def test_a_reserve_of_seats_is_free_at_once_under_a_flood() -> None:
    others = Scope("others", Caps(seats=9), lanes=frozenset({"batch"}))
    bench = Bench(Tree((Scope("all", Caps(seats=10)), others)), "one")
    low, high = flow(lane="batch"), flow(lane="interactive")
    bench.queue("one", low, (50, 0, 0))
    bench.run(500)
    assert bench.spend_all("one", low) == 9
    bench.queue("one", high, (1, 0, 0))
    bench.step()
    assert bench.spend("one", high) is not None


def test_a_lane_that_holds_seats_is_owed_none() -> None:
    """Else it would get, of the seats that come back, more than a higher lane that waits."""
    bench = Bench(tree(seats=10), "one")
    low, high = flow(lane="batch"), flow(lane="interactive")
    bench.queue("one", low, (50, 0, 0))
    bench.step()
    tickets = [bench.spend("one", low) for _ in range(10)]
    for ticket in tickets[:8]:
        assert ticket is not None
        bench.queue("one", high, (1, 0, 0))
        bench.run(300)
        bench.holders["one"].release(ticket, bench.now)
        bench.run(300)
        assert bench.spend_all("one", high) == 1
        assert bench.spend_all("one", low) == 0


def test_a_lower_lane_has_its_share_of_the_turns() -> None:
    bench = Bench(tree(seats=4), "one")
    low, high = flow(lane="batch"), flow(lane="interactive")
    begun = {low: 0, high: 0}
    for _ in range(100):
        for of in begun:
            bench.queue("one", of, (9, 0, 0))
        bench.run(200)
        for of in begun:
            while (ticket := bench.spend("one", of)) is not None:
                begun[of] += 1
                bench.holders["one"].release(ticket, bench.now)
    assert begun[high] + begun[low] >= 300
    assert 0.07 <= begun[low] / begun[high] <= 0.13


def reserved(seats: int, left: int) -> Tree:
    """`batch` leaves some of the seats to others."""
    others = Scope("others", Caps(seats=left), lanes=frozenset({"batch"}), part_of="all")
    return Tree((Scope("all", Caps(seats=seats)), others))


def flooded(call_ms: int) -> int:
    """Half a minute of a flood in `batch`: how many calls it had at a time in the end, at most."""
    bench = Bench(reserved(40, 30), "one")
    low, most = flow(lane="batch"), 0
    running: list[tuple[int, Ticket]] = []
    for _ in range(300):
        bench.queue("one", low, (50, 0, 0))
        bench.step()
        for end_ms, ticket in running:
            if end_ms <= bench.now:
                bench.holders["one"].release(ticket, bench.now)
        running = [one for one in running if one[0] > bench.now]
        while (ticket := bench.spend("one", low)) is not None:
            running.append((bench.now + call_ms, ticket))
        most = max(most, len(running)) if bench.now > 20_000 else 0
    return most


@pytest.mark.parametrize(("call_ms", "least", "most"), [(60_000, 30, 30), (300, 31, 39)])
def test_reserved_seats_are_lent_as_far_as_they_are_soon_back(
    call_ms: int, least: int, most: int
) -> None:
    assert least <= flooded(call_ms) <= most


def test_what_is_lent_comes_back_in_time_with_99_chances_of_100() -> None:
    for expected in (0.0, 2.0, 4.6, 8.0, 20.0, 60.0):
        lent = surely_back(expected)
        fewer = sum(exp(-expected) * expected**n / factorial(n) for n in range(lent))
        assert fewer <= 0.011
    assert (surely_back(4.7), surely_back(2.0)) == (1, 0)


def test_what_is_lent_leaves_learned_limits_of_the_part_alone() -> None:
    others = Scope("others", Caps(50, seats=30), lanes=frozenset({"batch"}), part_of="all")
    limits = Tree((Scope("all", Caps(100, seats=40)), others))
    whole, part = Ledger(limits, TIMING).nodes
    part.hold({Dimension.REQUESTS: 20})
    lending = Lending()
    lending.lend([whole, part], 0)
    whole.returned = 1_000
    lending.lend([whole, part], 100)
    assert part.caps.requests == 20
    assert part.seats > 30
