"""What upstreams told, from the dispatcher that heard it to what the owner then grants."""

from collections.abc import Mapping
from dataclasses import replace

import msgspec

from headrace.dispatcher.governor.allocation import AllocationPolicy
from headrace.dispatcher.governor.cooldown import CooldownPolicy
from headrace.dispatcher.governor.learning.limit import LearnPolicy
from headrace.dispatcher.governor.owner import Owner
from headrace.dispatcher.governor.restraints import Rested, RestraintPolicy
from headrace.dispatcher.governor.takeover import take_over
from headrace.dispatcher.governor.tree import Caps, Dimension, Scope, Tree
from headrace.dispatcher.ports import CallEnd
from headrace.schemas.limits import Epoch, Flow, Learned
from headrace.schemas.names import DeploymentName, RequestId
from support.credits import LANES, PLAIN, Bench
from support.limits import TIMING, flow

D, OTHER = DeploymentName("d"), DeploymentName("e")
FLOW, ELSEWHERE = flow(), flow(deployment="e")
OVERLOADED = b'{"error": {"code": "slow_down"}}'
MANY = 1_000
WAIT_MS = 5_000


def limited(requests: int = MANY) -> Tree:
    """Two deployments, each with a limit for a minute."""
    return Tree(
        tuple(
            Scope(name, Caps(requests=requests), deployments=frozenset({name}))
            for name in ("d", "e")
        )
    )


def refuse(
    bench: Bench,
    name: str = "one",
    *,
    request: str = "a",
    status: int = 429,
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
) -> None:
    """A call of a dispatcher is turned away now."""
    bench.heard[name].ended(
        D,
        RequestId(request),
        CallEnd(status=status, headers=headers or {}, body=body),
        began_ms=bench.now,
        mono_ms=bench.now,
        now_ms=bench.now,
    )


def refuse_two(bench: Bench, wait_ms: int = WAIT_MS) -> None:
    """Calls of two requests are turned away, which ask to wait."""
    for request in "ab":
        refuse(bench, request=request, headers={"retry-after-ms": str(wait_ms)})


def sent(bench: Bench, name: str = "one", of: Flow = FLOW) -> int:
    """What a dispatcher that wants much may send now; it wants as much again."""
    bench.queue(name, of, (MANY, 0, 0))
    return bench.spend_all(name, of)


def test_a_deployment_that_rests_is_granted_nothing_and_another_is() -> None:
    bench = Bench(limited(), "one", "two")
    refuse_two(bench)
    bench.run(300)
    until_ms, elsewhere = bench.now + WAIT_MS - 500, 0
    while bench.now < until_ms:
        assert sent(bench, "two") == 0
        elsewhere += sent(bench, "two", ELSEWHERE)
        bench.step()
    assert elsewhere > 0
    bench.run(1_000)
    assert sent(bench, "two") > 0


def test_after_a_rest_grants_begin_slowly() -> None:
    policy = AllocationPolicy(LANES)
    slow, quick = Bench(limited(), "one", policy=policy), Bench(limited(), "one", policy=policy)
    refuse_two(slow, 1_000)
    for bench in (slow, quick):
        bench.run(1_300)
        sent(bench)
        bench.run(1_000)
    assert 0 < sent(slow) < sent(quick) / 4


def test_one_request_that_is_refused_again_and_again_holds_others_up_for_a_moment_only() -> None:
    bench = Bench(limited(), "one")
    for _ in range(4):
        refuse(bench, headers={"retry-after": "3600"})
        bench.run(200)
        assert bench.owner.restraints.share(D, bench.now) == 0
        bench.run(6_000)
        assert bench.owner.restraints.share(D, bench.now) > 0.8


def test_a_refusal_that_is_told_again_and_again_counts_once() -> None:
    bench = Bench(limited(), "one")
    sent(bench)
    bench.run(200)
    refuse(bench)
    bench.run(4_000)
    rests = [one for one in bench.owner.restraints.news() if isinstance(one, Rested)]
    assert [rest.times for rest in rests] == [1]
    assert bench.owner.restraints.limited == {D: 1}


def test_a_429_cuts_the_limit_once_for_all_that_were_in_flight() -> None:
    bench = Bench(limited(100), "one", "two")
    for name in ("one", "two"):
        bench.queue(name, FLOW, (30, 0, 0))
    bench.run(1_000)
    assert sum(bench.spend_all(name, FLOW) for name in ("one", "two")) == 60
    bench.run(200)
    for number in range(5):
        refuse(bench, "one", request=f"a{number}")
        refuse(bench, "two", request=f"b{number}")
        bench.step()
    (node, other) = bench.owner.ledger.nodes
    assert node.caps.requests is not None
    assert 47 <= node.caps.requests <= 50
    assert other.caps.requests == 100


def test_an_overload_makes_it_rest_and_cuts_nothing() -> None:
    bench = Bench(limited(100), "one")
    refuse(bench, status=529)
    refuse(bench, status=503, body=OVERLOADED)
    bench.run(200)
    assert bench.owner.restraints.share(D, bench.now) == 0
    assert bench.owner.ledger.nodes[0].caps.requests == 100
    assert (bench.owner.restraints.limited, bench.owner.restraints.overloaded) == ({}, {D: 2})


def test_a_limit_that_headers_tell_is_kept_and_given_up_when_they_tell_more() -> None:
    bench = Bench(limited(100), "one")
    for told in (60, 500):
        headers = {"x-ratelimit-limit-requests-minute": str(told)}
        bench.run(500)
        bench.heard["one"].ended(
            D,
            RequestId("a"),
            CallEnd(status=200, headers=headers),
            began_ms=bench.now,
            mono_ms=bench.now,
            now_ms=bench.now,
        )
        bench.run(1_500)
        assert bench.owner.ledger.nodes[0].caps.requests == min(told, 100)


def test_the_dimension_of_which_nothing_remains_is_cut() -> None:
    tree = Tree((Scope("d", Caps(requests=10, total_tokens=1_000), deployments=frozenset("d")),))
    bench = Bench(tree, "one")
    bench.queue("one", FLOW, (9, 10, 10))
    bench.run(500)
    assert bench.spend_all("one", FLOW, 10, 10) == 9
    bench.run(200)
    refuse(bench, headers={"x-ratelimit-remaining-tokens": "0"})
    bench.run(200)
    caps = bench.owner.ledger.nodes[0].caps
    assert caps.requests == 10
    assert caps.total_tokens is not None
    assert caps.total_tokens < 600


def test_what_lanes_leave_to_others_shrinks_with_the_limit() -> None:
    whole = Scope("d", Caps(requests=100), deployments=frozenset({"d"}))
    part = Scope(
        "d for batch",
        Caps(requests=50),
        deployments=whole.deployments,
        lanes=frozenset({"batch"}),
        part_of="d",
    )
    bench = Bench(Tree((whole, part)), "one")
    refuse(bench)
    bench.run(300)
    node, reserved = bench.owner.ledger.nodes
    assert node.caps.requests is not None
    assert reserved.caps.requests == node.caps.requests // 2 < 50


def test_a_request_that_is_larger_than_what_was_learned_goes_when_nothing_else_does() -> None:
    tree = Tree((Scope("d", Caps(total_tokens=1_000), deployments=frozenset({"d"})),))
    bench = Bench(tree, "one")
    refuse(bench)
    bench.run(1_500)
    cap = bench.owner.ledger.nodes[0].caps.total_tokens
    assert cap is not None
    assert cap < 800
    bench.queue("one", FLOW, (2, 800, 100))
    bench.run(20_000)
    assert bench.spend_all("one", FLOW, 800, 100) == 1


def test_a_successor_knows_rests_and_learned_limits() -> None:
    bench = Bench(limited(100), "one")
    refuse_two(bench, 60_000)
    bench.run(30_000)
    before = bench.owner.ledger.nodes[0].caps.requests
    since = [one for one in bench.commands if one[0] >= bench.now - 25_000]
    successor = Owner(Epoch(2), limited(100), PLAIN, TIMING, bench.now)
    take_over(successor, since, [], now_ms=bench.now, intact=True)
    successor.restraints.rests.take(D, bench.owner.restraints.rests.of(D))
    stated = successor.tick(bench.now)
    assert successor.restraints.share(D, bench.now) == 0
    assert successor.ledger.nodes[0].caps.requests == before
    assert [one.scope for one in stated if isinstance(one, Learned)] == ["d"]


def test_a_limit_is_whole_again_in_the_end() -> None:
    bench = Bench(limited(100), "one")
    refuse(bench)
    bench.run(300)
    bench.now += 700_000
    bench.run(300)
    assert bench.owner.ledger.nodes[0].caps.requests == 100
    (*_, last) = bench.owner.restraints.news()
    assert not isinstance(last, Rested)
    assert (last.place.dimension, last.limit, last.cut) == (Dimension.REQUESTS, 100, False)
    assert bench.owner.restraints.now(bench.now) == {}


def test_what_cannot_be_read_is_counted() -> None:
    bench = Bench(limited(), "one")
    report = bench.holders["one"].report(0)
    broken = msgspec.structs.replace(report, headers=msgspec.Raw(b'[["d",-1]]'))
    bench.owner.hear(broken, 0)
    assert bench.owner.restraints.unreadable == 1


def test_a_limit_in_shadow_mode_counts_what_it_would_have_held_back() -> None:
    tried = Scope("d", Caps(requests=10), deployments=frozenset({"d"}), shadow=True)
    bench = Bench(Tree((tried, Scope("pool", Caps(requests=14)))), "one")
    bench.queue("one", FLOW, (20, 0, 0))
    bench.run(500)
    assert bench.spend_all("one", FLOW) == 14
    assert bench.owner.ledger.shadow.would_refuse == {"limit d": 4}


def test_rests_in_shadow_mode_are_counted_and_told_to_nobody() -> None:
    bench = Bench(limited(), "one", "two")
    policy = RestraintPolicy(CooldownPolicy(shadow=True), LearnPolicy(shadow=True))
    tried = replace(PLAIN, restraint=policy)
    bench.owner = Owner(Epoch(1), limited(), tried, TIMING, 0)
    refuse_two(bench)
    bench.run(300)
    assert sent(bench, "two") == 0
    bench.run(300)
    assert sent(bench, "two") > 0
    assert bench.owner.ledger.shadow.would_refuse["rests"] > 0
    assert bench.owner.restraints.rests.of(D).times == 0
