"""What an owner says of waits: never more than it will be."""

from random import Random

from headrace.dispatcher.governor.outlook import Crowd, Outlooks
from headrace.dispatcher.governor.tree import Caps, Scope, Tree
from headrace.schemas.limits import Flow, Want
from headrace.schemas.outlook import Outlook
from support.credits import Bench
from support.limits import flow, tree

MINUTE = 60_000


def look(bench: Bench, outlooks: Outlooks | None = None) -> Outlook:
    return (outlooks or Outlooks({})).of(bench.owner)


def queue(bench: Bench, of: Flow, count: int) -> None:
    """As a dispatcher does: the first sixteen are told, and how many there are."""
    bench.holders["one"].want(of, [Want(0, 0, 0, min(count, 16))], bench.now, count)


def wait_s(outlook: Outlook, of: Flow) -> float:
    return next(one.wait_ms for one in outlook.flows if one.flow == of) / 1000


def test_a_queue_of_ten_windows_takes_about_nine_more() -> None:
    bench = Bench(tree(MINUTE, requests=30), "one")
    queue(bench, flow(), 300)
    bench.run(1_000)
    # Thirty of them may go in this window.
    assert 525 <= wait_s(look(bench), flow()) <= 540


def test_what_fits_into_the_window_waits_for_nothing() -> None:
    bench = Bench(tree(MINUTE, requests=30), "one")
    queue(bench, flow(), 20)
    bench.run(1_000)
    assert wait_s(look(bench), flow()) == 0


def test_ahead_of_a_tenant_is_of_others_only_what_they_get_meanwhile() -> None:
    bench = Bench(tree(MINUTE, requests=30), "one")
    for tenant, count in (("small", 60), ("flood", 5_000)):
        queue(bench, flow(tenant), count)
    bench.run(1_000)
    outlook = look(bench)
    assert 80 <= wait_s(outlook, flow("small")) <= 180
    assert wait_s(outlook, flow("flood")) >= 9_000
    weighted = look(bench, Outlooks({flow("small").tenant: 4.0}))
    assert wait_s(weighted, flow("small")) < wait_s(outlook, flow("small"))


def test_under_a_tenants_limit_only_its_own_queue_counts() -> None:
    scopes = (
        Scope("d", Caps(requests=6_000), MINUTE),
        Scope("tenant t", Caps(requests=6), MINUTE, tenants=frozenset({"t"})),
    )
    bench = Bench(Tree(scopes), "one")
    queue(bench, flow("t"), 18)
    queue(bench, flow("other"), 90)
    bench.run(1_000)
    assert 110 <= wait_s(look(bench), flow("t")) <= 120
    assert wait_s(look(bench), flow("other")) == 0


def test_of_tokens_only_a_whole_window_with_a_queue_tells_how_fast_they_go() -> None:
    bench = Bench(tree(10_000, total_tokens=1_000), "one")
    outlooks = Outlooks({})
    of = flow()
    for step in range(220):
        bench.holders["one"].want(of, [Want(0, 0, 100, 16)], bench.now, 60)
        bench.step()
        bench.spend_all("one", of, 0, 100)
        if step % 10 == 0:
            outlook = outlooks.of(bench.owner)
            if bench.now < 10_000:
                assert wait_s(outlook, of) == 0
    assert 30 <= wait_s(outlooks.of(bench.owner), of) <= 60


def test_it_tells_what_is_used_of_each_limit_and_until_when() -> None:
    bench = Bench(tree(MINUTE, requests=30), "one")
    queue(bench, flow(), 10)
    bench.run(300)
    assert bench.spend_all("one", flow()) == 10
    bench.holders["one"].want(flow(), [], bench.now)
    bench.run(1_000)
    (scope,) = look(bench).scopes
    (level,) = scope.levels
    assert (level.dimension, level.limit, level.used) == (
        "requests",
        30,
        10 + bench.holders["one"].purse(flow()).credit().requests,
    )
    assert MINUTE - 2_000 <= scope.empty_ms <= MINUTE + 1_000


def test_what_goes_while_one_gets_its_turns_is_the_sum_over_all() -> None:
    dice = Random(1)
    lines = [(dice.randint(0, 50), dice.choice((0.5, 1.0, 3.0))) for _ in range(200)]
    crowd = Crowd(lines)
    for turns in (0.0, 0.3, 7.0, 20.5, 500.0):
        each = sum(min(count, turns * weight) for count, weight in lines)
        assert abs(crowd.within(turns) - each) < 1e-6
