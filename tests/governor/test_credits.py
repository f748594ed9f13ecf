"""An owner and its holders: what may be spent, by whom, and for how long."""

from headrace.dispatcher.governor.holder import URGENT_MS
from headrace.dispatcher.governor.owner import Owner
from headrace.dispatcher.governor.tree import Caps, Dimension, Scope, Tree
from support.credits import Bench
from support.limits import TIMING, flow, tree

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


def test_a_reserve_follows_what_is_spent() -> None:
    bench = Bench(tree(requests=1_000_000), "one")
    bench.queue("one", F, (50, 0, 0))
    bench.step()
    assert bench.spend_all("one", F) >= 50
    bench.queue("one", F)
    bench.run(200)
    for _ in range(8):
        bench.step()
        spent = [bench.spend("one", F) for _ in range(100)]
    assert None not in spent, "nothing waits any more"
    bench.run(10_000)
    assert bench.spend_all("one", F) == 8, "nor is more in reserve than a few, later"


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


def test_an_answer_larger_than_all_expectations_delays_its_tenant_by_a_window_and_nobody_else() -> (
    None
):
    other = flow("other")
    bench = Bench(tree(total_tokens=100), "one")
    bench.queue("one", F, (1, 5, 5))
    bench.step()
    ticket = bench.spend("one", F, 5, 5)
    assert ticket is not None
    bench.holders["one"].settle(ticket, 5, 150, bench.now)
    bench.holders["one"].release(ticket, bench.now)
    bench.queue("one", F)
    bench.run(500)
    bench.queue("one", F, (9, 5, 5))
    bench.queue("one", other, (9, 5, 5))
    bench.run(11_000)
    assert bench.spend_all("one", F, 5, 5) >= 4
    assert bench.spend_all("one", other, 5, 5) >= 4


def test_a_flow_that_used_more_than_was_reserved_is_forgotten_as_any_other() -> None:
    bench = Bench(tree(total_tokens=100), "one")
    bench.queue("one", F, (1, 5, 5))
    bench.step()
    ticket = bench.spend("one", F, 5, 5)
    assert ticket is not None
    bench.holders["one"].settle(ticket, 20, 20, bench.now)
    bench.holders["one"].release(ticket, bench.now)
    bench.queue("one", F)
    bench.run(100_000)
    assert not any(bench.owner.ledger.sessions.values())
    before = len(bench.reports)
    bench.run(10_000)
    assert len(bench.reports) - before <= 11
    assert bench.reports[-1][1].flows == []


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


def test_a_key_has_no_more_than_its_limit_and_its_tenant_the_rest() -> None:
    own, others = flow("t", key="ci"), flow("t")
    limits = Tree(
        (
            Scope("tenant t", Caps(requests=5), tenants=frozenset({"t"})),
            Scope("key t/ci", Caps(requests=2), tenants=frozenset({"t"}), keys=frozenset({"ci"})),
        )
    )
    bench = Bench(limits, "one")
    bench.queue("one", own, (4, 0, 0))
    bench.queue("one", others, (4, 0, 0))
    bench.run(2_000)
    assert (bench.spend_all("one", own), bench.spend_all("one", others)) == (2, 3)


def test_what_is_sent_is_told_at_once_only_where_something_waits_for_credits() -> None:
    bench = Bench(tree(requests=100), "one")
    holder = bench.holders["one"]
    bench.queue("one", F, (3, 0, 0))
    bench.step()
    holder.report(bench.now)
    assert bench.spend("one", F) is not None
    bench.queue("one", F, (2, 0, 0))
    assert holder.due_ms() == bench.now + TIMING.tick_ms
    bench.queue("one", F, (3, 0, 0))
    assert holder.due_ms() == bench.now + URGENT_MS
    holder.report(bench.now)
    assert holder.due_ms() > bench.now + URGENT_MS
    assert bench.spend("one", F) is not None
    assert holder.due_ms() == bench.now + URGENT_MS
