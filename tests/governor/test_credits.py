"""An owner and its holders: what may be spent, by whom, and for how long."""

from headrace.dispatcher.governor.allocation import AllocationPolicy
from headrace.dispatcher.governor.owner import Owner
from headrace.dispatcher.governor.takeover import take_over
from headrace.dispatcher.governor.tree import Caps, Dimension, Scope, Tree
from headrace.schemas.limits import Beat, End, Epoch, Grants, Units
from headrace.schemas.names import LaneName, Tenant
from support.credits import LANES, PLAIN, Bench
from support.limits import ONE, TIMING, flow, report, told, tree

F = flow()
WINDOW_MS = 10_000


def charged(owner: Owner, dimension: Dimension = Dimension.REQUESTS) -> int:
    return owner.ledger.nodes[0].charged()[dimension]


def test_queued_requests_are_granted_whole() -> None:
    bench = Bench(tree(total_tokens=100), "one")
    bench.queue("one", F, (3, 20, 20))
    bench.step()
    assert bench.spend_all("one", F, 20, 20) == 2


def test_nothing_is_spent_that_was_not_granted() -> None:
    bench = Bench(tree(requests=5), "one")
    assert bench.spend("one", F) is None
    bench.queue("one", F, (1, 0, 0))
    bench.step()
    assert bench.spend("one", flow("other")) is None
    assert bench.spend("one", F, 1, 0) is None
    assert bench.spend("one", F) is not None


def test_ten_a_window_turn_from_dispatcher_to_dispatcher() -> None:
    names = [f"d{n}" for n in range(8)]
    bench = Bench(tree(requests=10), *names)
    for name in names:
        bench.queue(name, F, (5, 0, 0))
    sent: list[int] = []
    for _ in range(400):
        bench.step()
        sent += [bench.now for name in names for _ in range(bench.spend_all(name, F))]
    for at in sent:
        assert sum(at - WINDOW_MS < other <= at for other in sent) <= 10
    assert len(sent) >= 36


def test_a_report_that_is_repeated_grants_nothing_twice() -> None:
    bench = Bench(tree(requests=9), "one")
    bench.queue("one", F, (2, 0, 0))
    bench.step()
    for _ in range(3):
        bench.owner.hear(bench.reports[-1][1], bench.now)
        bench.step()
    assert bench.spend_all("one", F) == 2


def test_a_grant_that_is_repeated_gives_nothing_twice() -> None:
    bench = Bench(tree(requests=9), "one")
    bench.queue("one", F, (2, 0, 0))
    bench.step()
    assert bench.spend_all("one", F) == 2
    for _, command in bench.commands:
        bench.holders["one"].take(command, bench.now)
    assert bench.spend("one", F) is None


def test_a_grant_whose_record_was_lost_is_stated_again() -> None:
    bench = Bench(tree(requests=9), "one")
    bench.queue("one", F, (2, 0, 0))
    bench.cut_off.add("one")
    bench.owner.hear(bench.holders["one"].report(bench.now), bench.now)
    bench.step()
    bench.cut_off.clear()
    bench.run(1_500)
    assert bench.spend_all("one", F) == 2


def test_who_is_cut_off_spends_what_it_has_until_it_lapses() -> None:
    bench = Bench(tree(requests=9), "one")
    bench.queue("one", F, (2, 0, 0))
    bench.step()
    bench.cut_off.add("one")
    bench.run(9_900)
    assert bench.spend("one", F) is not None
    bench.run(200)
    assert bench.spend("one", F) is None
    assert bench.holders["one"].lapses == 1


def test_credits_of_a_dead_dispatcher_come_back_after_expiry_and_window() -> None:
    bench = Bench(tree(requests=2), "one", "two")
    bench.queue("one", F, (2, 0, 0))
    bench.step()
    bench.cut_off.add("one")
    bench.queue("two", F, (2, 0, 0))
    bench.run(TIMING.owner_ms + TIMING.width_ms(WINDOW_MS) - 200)
    assert bench.spend("two", F) is None
    bench.run(500)
    assert bench.spend_all("two", F) == 2


def test_seats_of_a_dead_dispatcher_come_back_within_eleven_seconds() -> None:
    bench = Bench(tree(seats=1), "one", "two")
    bench.queue("one", F, (1, 0, 0))
    bench.step()
    assert bench.spend("one", F) is not None
    bench.step()
    bench.cut_off.add("one")
    bench.queue("two", F, (1, 0, 0))
    bench.run(10_000)
    assert bench.spend("two", F) is None
    bench.run(800)
    assert bench.spend("two", F) is not None


def test_a_call_loses_its_seat_when_its_session_lapses() -> None:
    bench = Bench(tree(seats=1), "one")
    bench.queue("one", F, (1, 0, 0))
    bench.step()
    ticket = bench.spend("one", F)
    assert ticket is not None
    bench.cut_off.add("one")
    bench.run(9_900)
    assert bench.holders["one"].holds(ticket)
    bench.run(200)
    bench.holders["one"].check(bench.now)
    assert not bench.holders["one"].holds(ticket)


def test_after_a_lapse_a_new_session_is_granted_to() -> None:
    bench = Bench(tree(requests=9), "one")
    bench.queue("one", F, (1, 0, 0))
    bench.step()
    bench.cut_off.add("one")
    bench.run(11_000)
    bench.cut_off.clear()
    bench.run(1_000)
    assert bench.spend("one", F) is not None


def test_credits_that_nobody_waits_for_are_given_back() -> None:
    bench = Bench(tree(requests=9), "one")
    bench.queue("one", F, (3, 0, 0))
    bench.step()
    bench.queue("one", F)
    bench.run(1_000)
    assert charged(bench.owner) == 0


def test_a_flow_in_use_keeps_credits_in_reserve_while_there_is_room() -> None:
    bench = Bench(tree(requests=200), "one", "two")
    bench.queue("one", F, (1, 0, 0))
    bench.step()
    assert bench.spend("one", F) is not None
    bench.queue("one", F)
    bench.run(2_000)
    assert bench.spend_all("one", F) == 4
    assert bench.spend("two", F) is None


def test_a_reserve_ends_when_others_need_the_room() -> None:
    bench = Bench(tree(requests=200), "one", "two")
    bench.queue("one", F, (1, 0, 0))
    bench.step()
    assert bench.spend("one", F) is not None
    bench.queue("one", F)
    bench.run(1_000)
    bench.queue("two", F, (300, 0, 0))
    bench.run(2_000)
    assert bench.spend_all("two", F) == 199
    assert bench.spend("one", F) is None


def test_tokens_that_were_not_used_are_free() -> None:
    bench = Bench(tree(total_tokens=100), "one")
    bench.queue("one", F, (2, 50, 50))
    bench.step()
    ticket = bench.spend("one", F, 50, 50)
    assert ticket is not None
    bench.holders["one"].settle(ticket, 50, 0, bench.now)
    bench.queue("one", F, (1, 25, 25))
    bench.run(300)
    assert bench.spend("one", F, 25, 25) is not None


def test_more_tokens_than_reserved_delay_the_next_request() -> None:
    bench = Bench(tree(total_tokens=100), "one")
    bench.queue("one", F, (2, 10, 10))
    bench.step()
    ticket = bench.spend("one", F, 10, 10)
    assert ticket is not None
    bench.holders["one"].settle(ticket, 10, 90, bench.now)
    bench.queue("one", F, (1, 10, 10))
    bench.run(1_000)
    assert charged(bench.owner, Dimension.TOTAL_TOKENS) >= 100
    assert bench.spend("one", F, 10, 10) is None


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


def test_a_lanes_pace_spreads_its_requests() -> None:
    bench = Bench(tree(requests=100), "one", policy=AllocationPolicy(LANES))
    bench.queue("one", F, (100, 0, 0))
    bench.step()
    assert 9 <= bench.spend_all("one", F) <= 12


def test_an_owner_that_does_not_read_its_own_beats_grants_nothing() -> None:
    owner = Owner(Epoch(1), tree(requests=5), PLAIN, TIMING, 0)
    owner.hear(report(ONE, 1, told(F)), 1_000)
    beats = [one for one in owner.tick(1_001) if isinstance(one, Beat)]
    assert owner.tick(1_002) == []
    owner.read_back(beats[0])
    assert any(isinstance(one, Grants) for one in owner.tick(1_003))


def test_a_silent_session_is_granted_nothing_new() -> None:
    bench = Bench(tree(requests=9), "one")
    bench.queue("one", F, (1, 0, 0))
    bench.step()
    bench.queue("one", F, (5, 0, 0))
    bench.cut_off.add("one")
    bench.run(2_000)
    assert charged(bench.owner) == 1


def test_a_session_with_unknown_credits_is_granted_nothing_and_its_spends_are_charged() -> None:
    owner = Owner(Epoch(1), tree(requests=5), PLAIN, TIMING, 0)
    owner.hear(report(ONE, 1, told(F, (7, 0, 0)), granted=True), 0)
    owner.hear(report(ONE, 2, told(F, (9, 0, 0)), granted=True), 10)
    assert charged(owner) == 2
    assert owner.strangers == 1
    assert not any(isinstance(one, Grants) for one in owner.tick(100))


def test_a_session_that_says_it_is_over_frees_all_at_once() -> None:
    bench = Bench(tree(requests=3), "one")
    bench.queue("one", F, (3, 0, 0))
    bench.step()
    assert bench.spend("one", F) is not None
    bench.owner.hear(bench.holders["one"].close(bench.now), bench.now)
    ends = [one for one in bench.owner.tick(bench.now + 100) if isinstance(one, End)]
    assert [one.residual for one in ends] == [[]]
    assert charged(bench.owner) == 1
    assert bench.spend("one", F) is None


def test_a_changed_limit_holds_from_the_next_tick() -> None:
    bench = Bench(tree(requests=3), "one")
    bench.queue("one", F, (9, 0, 0))
    bench.step()
    assert bench.spend_all("one", F) == 3
    bench.owner.change(tree(requests=5))
    bench.queue("one", F, (6, 0, 0))
    bench.step()
    assert bench.spend_all("one", F) == 2


def successor(bench: Bench, limits: Tree, *, intact: bool = True) -> Owner:
    owner = Owner(Epoch(2), limits, PLAIN, TIMING, bench.now)
    take_over(owner, bench.commands, bench.reports, now_ms=bench.now, intact=intact)
    return owner


def test_a_successor_knows_what_its_predecessor_knew() -> None:
    limits = tree(requests=50, total_tokens=5_000, seats=20)
    bench = Bench(limits, "one", "two")
    for turn in range(100):
        bench.queue("one", F, (turn % 3, 10, 10)) if turn % 3 else bench.queue("one", F)
        bench.queue("two", flow("u"), (1, 5, 5 + turn % 2))
        bench.step()
        bench.spend_all("one", F, 10, 10)
        bench.spend("two", flow("u"), 5, 5 + turn % 2)
    later = successor(bench, limits)
    assert later.ledger.nodes[0].charged() == bench.owner.ledger.nodes[0].charged()


def test_a_wiped_log_shuts_everything_for_window_and_validity() -> None:
    limits = tree(requests=50)
    bench = Bench(limits, "one")
    bench.queue("one", F, (1, 0, 0))
    bench.run(500)
    bench.commands.clear()
    later = successor(bench, limits, intact=False)
    later.ledger.advance(bench.now + TIMING.lookback_ms(WINDOW_MS) - 1)
    assert later.ledger.refusing(F, Units(1)) is not None
    later.ledger.advance(bench.now + TIMING.lookback_ms(WINDOW_MS))
    assert later.ledger.refusing(F, Units(1)) is None


def test_a_new_installation_is_not_shut() -> None:
    owner = Owner(Epoch(1), tree(requests=5), PLAIN, TIMING, 0)
    first = report(ONE, 1, told(F), epoch=0)
    take_over(owner, [], [(0, first)], now_ms=100, intact=False)
    assert owner.ledger.refusing(F, Units(1)) is None


def test_lanes_that_nobody_configured_are_passed_over() -> None:
    owner = Owner(Epoch(1), tree(requests=5), PLAIN, TIMING, 0)
    owner.hear(report(ONE, 1, told(flow(lane=LaneName("none")))), 0)
    assert isinstance(owner.tick(100)[-1], Grants)
