"""When an owner grants nothing, and what a successor knows."""

import pytest

from headrace.dispatcher.governor import owner as owner_module
from headrace.dispatcher.governor.owner import Owner
from headrace.dispatcher.governor.takeover import PastReports, take_over
from headrace.dispatcher.governor.tree import Dimension, Tree
from headrace.schemas.journal import ProcessId, SessionId
from headrace.schemas.limits import Beat, Claim, End, Epoch, Grants, Units, Want
from headrace.schemas.names import LaneName
from support.credits import PLAIN, Bench
from support.limits import ONE, TIMING, flow, report, told, tree

F = flow()
WINDOW_MS = 10_000


def charged(owner: Owner, dimension: Dimension = Dimension.REQUESTS) -> int:
    return owner.ledger.nodes[0].charged()[dimension]


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


def test_late_reports_of_a_session_that_was_followed_by_another_get_nothing() -> None:
    """They lay in the producer while Kafka was away, and come with the new session's."""
    owner = Owner(Epoch(1), tree(requests=5), PLAIN, TIMING, 0)
    lapsed, fresh = SessionId("d.1"), SessionId("d.2")
    wanted = told(F, want=[Want(0, 0, 0, 5)])
    owner.hear(report(lapsed, 1, wanted), 10)
    owner.hear(report(fresh, 1, wanted), 11)
    owner.hear(report(lapsed, 2, wanted), 12)
    grants = [one for one in owner.tick(100) if isinstance(one, Grants)]
    assert [told.session for one in grants for told in one.sessions] == [fresh]
    assert [flow.granted.requests for flow in grants[0].sessions[0].flows] == [5]


def test_what_thousands_of_flows_have_is_stated_in_several_records(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(owner_module, "MOST_FLOWS", 3)
    bench = Bench(tree(requests=50), "one", "two")
    flows = [flow(f"t{number}") for number in range(5)]
    for name in ("one", "two"):
        for one in flows:
            bench.queue(name, one, (1, 0, 0))
    bench.step()
    last = [command for at, command in bench.commands if isinstance(command, Grants)]
    assert all(sum(len(told.flows) for told in one.sessions) <= 3 for one in last)
    assert all(bench.spend(name, one) is not None for name in ("one", "two") for one in flows)


def test_of_older_reports_a_successor_keeps_what_changed_alone() -> None:
    past = PastReports()
    waiting = told(F, (2, 0, 0), want=[Want(0, 0, 0, 5)], queued=5)
    for number in range(100):
        past.add(number, report(ONE, number, waiting, told(flow("idle"))))
    past.add(100, report(ONE, 100, told(F, (3, 0, 0), want=[Want(0, 0, 0, 4)], queued=4)))
    past.add(101, report(ONE, 101, told(F, (3, 0, 0), want=[Want(0, 0, 0, 4)], queued=4)))
    kept = [(at, one.flows) for at, one in past.heard if one.flows]
    assert [at for at, _ in kept] == [0, 100, 101]
    assert kept[0][1] == [told(F, (2, 0, 0)), told(flow("idle"))]
    assert kept[-1][1] == [told(F, (3, 0, 0), want=[Want(0, 0, 0, 4)], queued=4)]


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


def test_flows_that_were_used_once_are_forgotten_and_may_come_back() -> None:
    bench = Bench(tree(requests=3), "one")
    flows = [flow(f"t{number}") for number in range(20)]
    for one in flows:
        bench.queue("one", one, (1, 0, 0))
        while (ticket := bench.spend("one", one)) is None:
            bench.step()
        bench.holders["one"].release(ticket, bench.now)
        bench.queue("one", one)
    bench.run(100_000)
    late = bench.reports[5][1]
    bench.owner.hear(late, bench.now)
    assert bench.owner.ledger.sessions[late.session] == {}
    for one in flows:
        bench.queue("one", one, (1, 0, 0))
    bench.run(11_000)
    assert sum(bench.spend("one", one) is not None for one in flows) == 3
    assert charged(bench.owner) <= 3


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


def test_after_a_wipe_nothing_that_was_granted_before_lives_on() -> None:
    limits = tree(requests=50)
    bench = Bench(limits, "one")
    bench.queue("one", F, (5, 0, 0))
    bench.run(500)
    bench.commands.clear()
    bench.owner = successor(bench, limits, intact=False)
    bench.holders["one"].take(Claim(Epoch(2), ProcessId("h")), bench.now)
    bench.run(TIMING.holder_ms)
    assert bench.owner.strangers == 1
    assert bench.spend("one", F) is None
    bench.run(TIMING.lookback_ms(WINDOW_MS))
    assert bench.spend_all("one", F) == 5


def test_a_dispatcher_tells_again_what_a_successor_does_not_know() -> None:
    limits = tree(requests=5)
    bench = Bench(limits, "one")
    bench.queue("one", F, (3, 0, 0))
    bench.run(1_500)
    known = list(bench.commands)
    bench.queue("one", F)
    bench.run(3_000)
    assert charged(bench.owner) == 0
    bench.commands, bench.reports = known, []
    bench.owner = successor(bench, limits)
    assert charged(bench.owner) == 3
    bench.holders["one"].take(Claim(Epoch(2), ProcessId("h")), bench.now)
    bench.run(3_000)
    assert charged(bench.owner) == 0


def test_a_new_installation_is_not_shut() -> None:
    owner = Owner(Epoch(1), tree(requests=5), PLAIN, TIMING, 0)
    first = report(ONE, 1, told(F), epoch=0)
    take_over(owner, [], [(0, first)], now_ms=100, intact=False)
    assert owner.ledger.refusing(F, Units(1)) is None


def test_lanes_that_nobody_configured_are_passed_over() -> None:
    owner = Owner(Epoch(1), tree(requests=5), PLAIN, TIMING, 0)
    owner.hear(report(ONE, 1, told(flow(lane=LaneName("none")))), 0)
    assert isinstance(owner.tick(100)[-1], Grants)


def test_a_flow_that_is_held_gets_no_credits_and_others_do() -> None:
    bench = Bench(tree(requests=20), "one")
    paused, other = flow("paused"), flow("other")
    bench.owner.hold(lambda of, now_ms: of == paused and now_ms < 3_000)
    for of in (paused, other):
        bench.queue("one", of, (4, 0, 0))
    bench.run(2_000)
    assert (bench.spend_all("one", paused), bench.spend_all("one", other)) == (0, 4)
    bench.run(2_000)
    assert bench.spend_all("one", paused) == 4


def test_reports_that_come_again_or_late_are_counted_and_change_nothing() -> None:
    owner = Owner(Epoch(1), tree(requests=5), PLAIN, TIMING, 0)
    for number in (1, 3, 3, 2):
        owner.hear(report(ONE, number, told(F, want=[Want(0, 0, 0, number)])), 10)
    assert (owner.repeated, owner.reordered) == (1, 1)
    (grants,) = [one for one in owner.tick(100) if isinstance(one, Grants)]
    assert grants.sessions[0].flows[0].granted == Units(3)
