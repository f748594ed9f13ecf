"""The fleet on virtual time holds on a few seeds, repeats, and sees what is broken.

The long form is `python3 dev.py simulate --governor`.
"""

import dataclasses
from collections.abc import Callable, Sequence

import pytest
from msgspec.structs import replace

from headrace.dispatcher.governor import takeover
from headrace.dispatcher.governor.epochs import Epochs
from headrace.dispatcher.governor.holder import Holder
from headrace.dispatcher.governor.ledger import Ledger
from headrace.dispatcher.governor.node import Node
from headrace.dispatcher.governor.owner import Owner
from headrace.dispatcher.governor.simulator.dispatcher import Dispatcher
from headrace.dispatcher.governor.simulator.run import simulate
from headrace.dispatcher.governor.simulator.story import Fault, Story, Trouble, draw
from headrace.dispatcher.governor.timeline import Timeline
from headrace.dispatcher.governor.timing import Timing
from headrace.dispatcher.governor.tree import Tree
from headrace.schemas.journal import SessionId
from headrace.schemas.limits import Command, Flow, Grants, Units

FEW = (*range(25), 1855, 2549, 3258)
"""The last ones once found something: a log that is wiped while its owner stands still, and records that
are lost when a flow is used for the last time."""
ENOUGH = range(60)
"""A mutant that this many seeds do not see would be a hole in the simulation."""


@pytest.mark.parametrize("seed", FEW)
def test_nothing_is_violated(seed: int) -> None:
    assert simulate(draw(seed)).violations == []


def test_a_seed_does_the_same_again() -> None:
    first, second = simulate(draw(3)), simulate(draw(3))
    assert first.digest == second.digest


def test_stories_admit_most_of_what_fits() -> None:
    """A simulation in which nothing is sent would hold as well."""
    admitted = sum(len(simulate(draw(seed)).arrivals) for seed in range(10))
    assert admitted > 500


def set_clocks(story: Story, seconds: int) -> Story:
    """The only fault is that the broker's clock is set, by so much and back again."""
    steps = ((20_000, seconds), (45_000, -seconds))
    faults = tuple(Fault(Trouble.SET_CLOCK, at_ms, 0, by) for at_ms, by in steps)
    return dataclasses.replace(story, faults=faults)


@pytest.mark.parametrize("seconds", [3_600, -3_600])
def test_a_brokers_clock_that_is_set_changes_nothing(seconds: int) -> None:
    outcomes = [simulate(set_clocks(draw(seed), seconds)) for seed in (1, 3, 5)]
    assert [outcome.violations for outcome in outcomes] == [[], [], []]
    assert sum(one.at_ms > 50_000 for outcome in outcomes for one in outcome.arrivals) > 50


def test_an_owner_that_believes_any_clock_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Timeline, "now_ms", lambda _, log_ms, *__: log_ms)
    assert seen_after(lambda story: set_clocks(story, 3_600)) <= len(ENOUGH)


def test_a_limit_holds_when_few_dispatchers_become_32() -> None:
    story = draw(0)
    crowd = Fault(Trouble.CROWD, 10_000, 0, 32 - story.dispatchers)
    traffic = tuple(dataclasses.replace(one, only=()) for one in story.traffic)
    outcome = simulate(dataclasses.replace(story, faults=(crowd,), traffic=traffic))
    assert outcome.violations == []


def seen_after(change: Callable[[Story], Story] = lambda story: story) -> int:
    """How many seeds it takes until something is violated."""
    for seed in ENOUGH:
        if simulate(change(draw(seed))).violations:
            return seed + 1
    pytest.fail("no seed sees it")


def test_grants_that_a_successor_does_not_replay_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    restore = takeover._restore

    def forgetful(owner: Owner, command: Command, stamp_ms: int, *, intact: bool) -> None:
        if isinstance(command, Grants):
            command = Grants(command.epoch, [replace(one, flows=[]) for one in command.sessions])
        restore(owner, command, stamp_ms, intact=intact)

    monkeypatch.setattr(takeover, "_restore", forgetful)
    assert seen_after() <= len(ENOUGH)


def test_outstanding_credits_that_are_not_charged_are_seen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Node, "open", lambda *_: None)
    assert seen_after() <= len(ENOUGH)


def test_owners_that_are_not_fenced_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    def anything(self: Epochs, command: Command) -> bool:
        self.current = max(self.current, command.epoch)
        return True

    monkeypatch.setattr(Epochs, "counts", anything)
    assert seen_after() <= len(ENOUGH)


def test_an_expiry_that_is_not_charged_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    expire = Ledger.expire

    def generous(self: Ledger, session: SessionId, stamp_ms: int) -> Sequence[tuple[Flow, Units]]:
        with monkeypatch.context() as patched:
            patched.setattr(Ledger, "_charge", lambda *_: None)
            return expire(self, session, stamp_ms)

    monkeypatch.setattr(Ledger, "expire", generous)
    assert seen_after() <= len(ENOUGH)


def cut_off(story: Story) -> Story:
    """All faults become dispatchers that lose the log, for long."""
    cuts = tuple(Fault(Trouble.CUT_DISPATCHER, f.at_ms, 25_000, f.number) for f in story.faults)
    return dataclasses.replace(story, faults=cuts)


def test_a_holder_that_spends_after_its_credits_ran_out_is_seen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Holder, "check", lambda *_: False)
    assert seen_after(cut_off) <= len(ENOUGH)


def test_a_window_without_its_guard_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Timing, "width_ms", lambda _, window_ms: window_ms)
    assert seen_after() <= len(ENOUGH)


def test_a_refund_that_comes_too_late_and_counts_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Node, "refund", lambda self, _, units: self._sent(units, -1))
    assert seen_after(
        lambda story: dataclasses.replace(story, call_ms=(20_000, 30_000), settles=1.0)
    )


def seated(story: Story) -> Story:
    """Seats are what there is least of, and some calls outlive a session."""
    pool, *parts = story.tree.scopes
    caps = dataclasses.replace(pool.caps, seats=3)
    tree = Tree((dataclasses.replace(pool, caps=caps), *parts))
    # A process that stands still for longer than credits live cannot cut its calls.
    faults = tuple(
        dataclasses.replace(one, lasts_ms=min(one.lasts_ms, 5_000))
        if one.trouble is Trouble.FREEZE_DISPATCHER
        else one
        for one in story.faults
    )
    return dataclasses.replace(story, tree=tree, call_ms=(1_000, 25_000), faults=faults)


@pytest.mark.parametrize("seed", range(100, 105))
def test_seats_are_never_more_than_there_are_and_all_come_back(seed: int) -> None:
    assert simulate(seated(draw(seed))).violations == []


def test_seats_in_use_that_are_not_counted_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Ledger, "_seats", lambda *_: None)
    assert seen_after(seated) <= len(ENOUGH)


def test_calls_that_run_on_without_their_seats_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Dispatcher, "_cut_calls", lambda _: None)
    assert seen_after(lambda story: seated(cut_off(story))) <= len(ENOUGH)


def test_seats_of_the_dead_that_do_not_come_back_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    expire = Ledger.expire

    def forgetful(self: Ledger, session: SessionId, stamp_ms: int) -> Sequence[tuple[Flow, Units]]:
        with monkeypatch.context() as patched:
            patched.setattr(Ledger, "_seats", lambda *_: None)
            return expire(self, session, stamp_ms)

    monkeypatch.setattr(Ledger, "expire", forgetful)
    assert seen_after(seated) <= len(ENOUGH)


def test_seats_that_are_given_away_before_their_calls_are_cut_are_seen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Timing, "owner_ms", Timing().holder_ms - 2_000)
    assert seen_after(lambda story: seated(cut_off(story))) <= len(ENOUGH)
