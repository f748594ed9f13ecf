"""Seats that are learned from latency, from the dispatchers that time calls to what the owner then grants."""

import heapq
from dataclasses import replace
from typing import Any

import pytest

from headrace.dispatcher.governor.learning import adaptive as adaptive_module
from headrace.dispatcher.governor.learning.seats import LearnedSeats, SeatsPolicy
from headrace.dispatcher.governor.ledger import Ledger
from headrace.dispatcher.governor.node import Node
from headrace.dispatcher.governor.outlook import Outlooks
from headrace.dispatcher.governor.owner import Owner
from headrace.dispatcher.governor.simulator.run import simulate
from headrace.dispatcher.governor.simulator.story import Story, draw
from headrace.dispatcher.governor.takeover import take_over
from headrace.dispatcher.governor.tree import Caps, Scope, Tree
from headrace.dispatcher.overheard import Overheard
from headrace.dispatcher.ports import CallEnd
from headrace.schemas.journal import SessionId
from headrace.schemas.limits import Epoch, Flow, Units
from headrace.schemas.names import DeploymentName, RequestId
from headrace.schemas.tellings import decode
from support.credits import PLAIN, Bench
from support.limits import TIMING, flow

D = DeploymentName("d")
MOST = 100
KNEE = 8
FLOW = flow()


def tree(most: int = MOST, *, shadow: bool = False) -> Tree:
    """One deployment, with a part of its seats that batch leaves to others."""
    policy = SeatsPolicy(first=min(8, most), most=most, shadow=shadow)
    whole = Scope("d", Caps(seats=most), deployments=frozenset({D}), adaptive=policy)
    left = replace(
        whole,
        name="d for batch",
        caps=Caps(seats=most // 2),
        lanes=frozenset({"batch"}),
        part_of="d",
        adaptive=None,
    )
    return Tree((whole, left))


class Fleet:
    """Two dispatchers that always have more to send to an upstream that takes `KNEE` calls at full speed."""

    def __init__(self, limits: Tree, *, stream: bool = True) -> None:
        self.bench = Bench(limits, "one", "two")
        self.bench.heard = {name: Overheard([D]) for name in self.bench.holders}
        self.most = 0
        """Calls in flight at a time."""
        self._stream = stream
        self._running: list[tuple[int, int, str, object, int]] = []

    @property
    def node(self) -> Node:
        return self.bench.owner.ledger.nodes[0]

    def run(self, seconds: int) -> "Fleet":
        """Let time pass."""
        for _ in range(seconds * 10):
            bench = self.bench
            bench.step()
            while self._running and self._running[0][0] <= bench.now:
                self._end(*heapq.heappop(self._running)[2:])
            for name in bench.holders:
                bench.queue(name, FLOW, (16, 0, 0))
                while (ticket := bench.spend(name, FLOW)) is not None:
                    took_ms = round(300 * max(1.0, (len(self._running) + 1) / KNEE))
                    call = (bench.now + took_ms, ticket.ordinal, name, ticket, took_ms)
                    heapq.heappush(self._running, call)
                    self.most = max(self.most, len(self._running))
        return self

    def end(self, name: str, status: int, *, took_ms: int, request: str = "a") -> None:
        """A dispatcher's call ended so."""
        end = CallEnd(status=status, first_s=took_ms / 1000 if self._stream else None)
        if not self._stream:
            end.body = b'{"usage": {"prompt_tokens": 8, "completion_tokens": 34}}'
        now = self.bench.now
        self.bench.heard[name].ended(
            D, RequestId(request), end, began_ms=now - took_ms, mono_ms=now, now_ms=now
        )

    def _end(self, name: str, ticket: object, took_ms: int) -> None:
        self.bench.holders[name].release(ticket, self.bench.now)  # type: ignore[arg-type]
        self.end(name, 200, took_ms=took_ms)


@pytest.fixture
def _exact(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is granted fits the seats that are held to now."""
    granting = Ledger.grant

    def grant(ledger: Ledger, session: SessionId, of: Flow, units: Units) -> None:
        granting(ledger, session, of, units)
        for node in ledger.path(of):
            assert node.caps.seats is None or node.open_requests + node.in_use <= node.caps.seats

    monkeypatch.setattr(Ledger, "grant", grant)


@pytest.mark.usefixtures("_exact")
@pytest.mark.parametrize("stream", [True, False])
def test_the_fleet_settles_at_what_the_upstream_takes(stream: bool) -> None:
    fleet = Fleet(tree(), stream=stream).run(200)
    (learned,) = fleet.bench.owner.restraints.now(fleet.bench.now).values()
    assert KNEE <= learned <= 3 * KNEE
    assert fleet.node.caps.seats == learned
    assert KNEE <= fleet.most <= 3 * KNEE
    assert fleet.bench.owner.ledger.nodes[1].base.seats == learned // 2


def test_a_successor_goes_on_where_the_owner_before_stood() -> None:
    fleet = Fleet(tree()).run(120)
    bench, now = fleet.bench, fleet.bench.now
    since = now - TIMING.lookback_ms(60_000)
    successor = Owner(Epoch(2), tree(), PLAIN, TIMING, now)
    commands = [one for one in bench.commands if one[0] >= since - TIMING.prefix_ms]
    reports = [one for one in bench.reports if one[0] >= since]
    take_over(successor, commands, reports, now_ms=now, intact=True)
    (learned,) = bench.owner.restraints.now(now).values()
    assert successor.restraints.now(now) == pytest.approx(bench.owner.restraints.now(now), rel=0.2)
    assert learned > 8 / 0.8
    successor.tick(now)
    # Until it has measured the least latency it is careful.
    assert successor.ledger.nodes[0].caps.seats == int(learned / 4)


def test_in_shadow_mode_it_is_learned_and_shown_and_nobody_is_held_to_it() -> None:
    fleet = Fleet(tree(20, shadow=True)).run(60)
    owner = fleet.bench.owner
    assert fleet.node.caps.seats == 20
    assert fleet.most == 20
    assert owner.restraints.shadow.would_refuse["learned_seats"] > 0
    (level,) = Outlooks({}).of(owner).scopes[0].levels
    assert level.limit == 20
    assert level.learned is not None
    assert level.learned < 20


@pytest.mark.parametrize("status", [529, 429])
def test_an_overload_cuts_the_seats_once_for_all_that_were_in_flight(status: int) -> None:
    fleet = Fleet(tree()).run(30)
    bench = fleet.bench
    (before,) = bench.owner.restraints.now(bench.now).values()
    for number in range(4):
        fleet.end("one", status, took_ms=300, request=f"r{number}")
    bench.run(300)
    (after,) = bench.owner.restraints.now(bench.now).values()
    assert before * 0.6 <= after <= before * 0.8
    changes = [one.limit for one in bench.owner.restraints.news() if hasattr(one, "limit")]
    assert changes == [after]


def test_what_was_learned_stays_when_the_bound_is_changed_and_never_passes_it() -> None:
    fleet = Fleet(tree()).run(100)
    learned = fleet.node.caps.seats
    fleet.bench.owner.change(tree(200))
    fleet.bench.step()
    assert fleet.node.caps.seats == learned
    fleet.bench.owner.change(tree(5))
    fleet.bench.step()
    assert fleet.node.caps.seats is not None
    assert fleet.node.caps.seats <= 5


def test_a_telling_that_comes_again_or_late_counts_once(monkeypatch: pytest.MonkeyPatch) -> None:
    bench, counted = Bench(tree(), "one"), []
    learning = adaptive_module.after_answers

    def after_answers(*args: Any, **more: Any) -> LearnedSeats:
        counted.append(args[2].calls)
        return learning(*args, **more)

    monkeypatch.setattr(adaptive_module, "after_answers", after_answers)
    bench.heard = {"one": Overheard([D])}
    for _ in range(40):
        bench.heard["one"].ended(
            *(D, RequestId("a"), CallEnd(status=200, first_s=0.1)),
            began_ms=bench.now,
            mono_ms=bench.now,
            now_ms=bench.now,
        )
        bench.step()
        for _, late in bench.reports[-3:]:
            bench.owner.restraints.hear(late, bench.now)
    first, *_, last = (decode(report.headers) for _, report in bench.reports)
    assert first is not None
    assert last is not None
    # What was told first is where it begins.
    assert sum(counted) == last[0].answers[0].calls - first[0].answers[0].calls > 20


def adaptive(story: Story) -> Story:
    """The same, with seats that move all the time."""
    scopes = []
    for scope in story.tree.scopes:
        most = scope.caps.seats
        if most is not None:
            quick = {"sample_ms": 300, "samples": 3, "measure_ms": 9_000, "patience_ms": 2_000}
            policy = SeatsPolicy(first=min(8, most), most=most, smoothing=0.8, **quick)  # type: ignore[arg-type]
            scope = replace(scope, deployments=frozenset("ab"), adaptive=policy)  # noqa: PLW2901
        scopes.append(scope)
    return replace(story, tree=Tree(tuple(scopes)))


@pytest.mark.usefixtures("_exact")
def test_no_fault_makes_learned_seats_exceed_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    held: set[int] = set()
    holding = Node.hold

    def hold(node: Node, limits: dict) -> None:  # type: ignore[type-arg]
        holding(node, limits)
        if node.scope.adaptive is not None and node.caps.seats is not None:
            held.add(node.caps.seats)

    monkeypatch.setattr(Node, "hold", hold)
    stories = [draw(seed) for seed in range(60)]
    seated = [one for one in stories if one.tree.scopes[0].caps.seats is not None]
    assert [simulate(adaptive(story)).violations for story in seated] == [[] for _ in seated]
    assert len(held) >= 8
