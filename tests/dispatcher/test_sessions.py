"""No order of events, processes and sessions repeats or loses a request."""

from collections.abc import Callable
from random import Random

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from headrace.schemas.journal import process_of
from support.partition import Partition, Session

CHOICE = st.integers(0, 5)


class Sessions(RuleBasedStateMachine):
    """Processes take a partition from one another in every way; see `support.partition` for the law.

    Each rule is a few steps that belong together, so that a short run of rules gets far.
    """

    def __init__(self) -> None:
        super().__init__()
        self.world = Partition()
        for gap in (0, 0, 2, 0):
            self.world.produce(gap)
        self.owner = self.world.claim("p0")

    @rule(gap=st.sampled_from([0, 0, 2]))
    def produce(self, gap: int) -> None:
        self.world.produce(gap)

    @rule(count=st.integers(1, 3), choice=CHOICE, told=st.booleans())
    def work(self, count: int, choice: int, told: bool) -> None:
        """The owner reads and begins; the journal may learn of it at once."""
        for _ in range(count):
            self.owner.read()
            self.owner.begin(choice)
        if told:
            self.owner.flush(snap=False)

    @rule(who=CHOICE, choice=CHOICE, told=st.booleans())
    def finish(self, who: int, choice: int, told: bool) -> None:
        """Any process ends a call, owner or not."""
        member = self._one(who)
        member.finish(choice)
        if told:
            member.flush(snap=False)

    @rule(who=CHOICE, choice=CHOICE, told=st.booleans())
    def hand_on(self, who: int, choice: int, told: bool) -> None:
        """A call ends with a record in the delay partition; a crash may come before its DONE."""
        member = self._one(who)
        member.hand_on(choice)
        if told:
            member.flush(snap=False)

    @rule(who=CHOICE, choice=CHOICE)
    def rest(self, who: int, choice: int) -> None:
        member = self._one(who)
        member.rest(choice)
        member.flush(snap=False)

    @rule(who=CHOICE, choice=CHOICE)
    def again(self, who: int, choice: int) -> None:
        member = self._one(who)
        member.again(choice)
        member.flush(snap=False)

    @rule(all_of_it=st.booleans())
    def snap(self, all_of_it: bool) -> None:
        """The owner writes a SNAP; a commit may follow once it has read it back."""
        self.owner.flush(snap=True)
        if all_of_it:
            self.owner.follow(len(self.world.journal))
        self.owner.commit()

    @rule(count=st.integers(1, 5))
    def follow(self, count: int) -> None:
        self.owner.follow(count)

    @rule()
    def bury(self) -> None:
        self.owner.bury()

    @rule(who=CHOICE)
    def wake(self, who: int) -> None:
        """A frozen process does all that it has not noticed it must not do any more."""
        member = self._one(who)
        if member.suspect:
            member.read()
            member.begin(0)
            member.flush(snap=True)
            member.commit()

    @rule(who=CHOICE, fresh=st.booleans())
    def hand_over(self, who: int, fresh: bool) -> None:
        """A rebalance: to a new process, or to one that had the partition and may still run calls of it."""
        self.owner.revoke()
        heir = self._one(who)
        self._claim(None if fresh or heir.suspect else process_of(heir.name))

    @rule()
    def freeze(self) -> None:
        """The owner stands still, and is counted out."""
        for each in self._of(self.owner):
            each.freeze()
        self._claim(None)

    @rule(who=CHOICE)
    def kill(self, who: int) -> None:
        victim = self._one(who)
        for each in self._of(victim):
            each.kill()
        if self.owner.killed:
            self._claim(None)

    @rule(who=CHOICE)
    def drain(self, who: int) -> None:
        """A process ends in order: it leaves its partition, cuts its calls short and releases."""
        leaver = self._of(self._one(who))
        if self.owner in leaver:
            self.owner.revoke()
            self._claim(None)
        for member in leaver:
            member.drain()
            member.killed = True
        self.world.dead.add(process_of(leaver[0].name))

    def teardown(self) -> None:
        """Whatever happened: once the frozen are gone, the owner brings every request to its end."""
        for member in self._live():
            if member.suspect:
                member.kill()
        for member in self._live():
            while member.calls:
                member.finish(0)
            member.flush(snap=False)
        self.owner.bury()
        self.owner.follow(len(self.world.journal))
        for _ in range(2 * len(self.world.offsets)):
            self.owner.read()
            self.owner.begin(0)
            self.owner.finish(0)
        self.owner.flush(snap=True)
        self.owner.follow(len(self.world.journal))
        self.owner.commit()
        assert all(self.world.settled(offset) for offset in self.world.offsets)
        assert all(self.world.chains(offset) <= 1 for offset in self.world.offsets)
        assert self.world.position == self.world.offsets[-1] + 1
        assert self.owner.tenure.elders == {}
        assert self.owner.tenure.lost == {}

    def _claim(self, name: str | None) -> None:
        self.owner = self.world.claim(name or f"p{len(self.world.sessions)}")

    def _live(self) -> list[Session]:
        return [s for s in self.world.sessions if not s.killed]

    def _one(self, choice: int) -> Session:
        live = self._live()
        return live[choice % len(live)]

    def _of(self, member: Session) -> list[Session]:
        return [s for s in self._live() if process_of(s.name) == process_of(member.name)]


Sessions.TestCase.settings = settings(max_examples=250, stateful_step_count=30, deadline=None)
TestSessions = Sessions.TestCase


def a_step(sessions: Sessions, dice: Random) -> None:
    """One rule, those that make the most trouble more often."""
    one, two, yes = dice.randrange(6), dice.randrange(6), dice.random() < 0.5
    steps: list[tuple[int, Callable[[], None]]] = [
        (3, lambda: sessions.produce(gap=2 * yes)),
        (3, lambda: sessions.work(count=1 + two // 2, choice=one, told=yes)),
        (4, lambda: sessions.finish(who=one, choice=two, told=yes)),
        (2, lambda: sessions.again(who=one, choice=two)),
        (2, lambda: sessions.hand_on(who=one, choice=two, told=yes)),
        (1, lambda: sessions.rest(who=one, choice=two)),
        (2, lambda: sessions.snap(all_of_it=yes)),
        (1, lambda: sessions.follow(count=1 + one)),
        (1, sessions.bury),
        (1, lambda: sessions.wake(who=one)),
        (2, lambda: sessions.hand_over(who=one, fresh=yes)),
        (1, sessions.freeze),
        (1, lambda: sessions.kill(who=one)),
        (1, lambda: sessions.drain(who=one)),
    ]
    weights = [weight for weight, _ in steps]
    dice.choices([step for _, step in steps], weights)[0]()


@pytest.mark.parametrize("seed", range(200))
def test_a_long_history_of_sessions_keeps_the_law(seed: int) -> None:
    """Hypothesis shrinks well and runs short; these histories are long and deterministic."""
    dice = Random(seed)
    sessions = Sessions()
    for _ in range(dice.choice([20, 60, 150])):
        a_step(sessions, dice)
    sessions.teardown()
