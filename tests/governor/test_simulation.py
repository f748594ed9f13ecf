"""The fleet on virtual time holds on a few seeds, repeats, and sees what is broken.

The long form is `python3 dev.py simulate --governor`.
"""

import dataclasses
from collections.abc import Callable, Sequence

import pytest
from msgspec.structs import replace

from headrace.dispatcher.governor import takeover
from headrace.dispatcher.governor.account import Account
from headrace.dispatcher.governor.epochs import Epochs
from headrace.dispatcher.governor.holder import Holder
from headrace.dispatcher.governor.ledger import Ledger
from headrace.dispatcher.governor.node import Node
from headrace.dispatcher.governor.owner import Owner
from headrace.dispatcher.governor.simulator.run import simulate
from headrace.dispatcher.governor.simulator.story import Fault, Story, Trouble, draw
from headrace.dispatcher.governor.timing import Timing
from headrace.schemas.journal import SessionId
from headrace.schemas.limits import Command, Flow, Grants, Units

FEW = range(25)
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


def seen_after(change: Callable[[Story], Story] = lambda story: story) -> int:
    """How many seeds it takes until something is violated."""
    for seed in ENOUGH:
        if simulate(change(draw(seed))).violations:
            return seed + 1
    pytest.fail("no seed sees it")


def test_grants_that_a_successor_does_not_replay_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    restore = takeover._restore

    def forgetful(owner: Owner, command: Command, stamp_ms: int) -> None:
        if isinstance(command, Grants):
            command = Grants(command.epoch, [replace(one, flows=[]) for one in command.sessions])
        restore(owner, command, stamp_ms)

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
    spend_of = Account.spend_of

    def nearest(self: Account, ordinal: int) -> object:
        return spend_of(self, ordinal) or (self.spends[-1] if self.spends else None)

    monkeypatch.setattr(Account, "spend_of", nearest)
    assert seen_after(
        lambda story: dataclasses.replace(story, call_ms=(20_000, 30_000), settles=1.0)
    )
