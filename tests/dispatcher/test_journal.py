"""What a successor learns from the journal; and that no order of events repeats or loses a request."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from headrace.dispatcher.journal import bookmark, open_at
from headrace.schemas.journal import (
    LOST,
    SNAP,
    Claim,
    Entry,
    InFlight,
    Release,
    SessionId,
    Snap,
    Work,
    decode,
    encode,
    process_of,
)
from support.dispatch import process, session
from support.partition import Partition, Session, replay

A, B = session("a"), session("b", 7)


def claim(name: SessionId) -> Claim:
    """A CLAIM of a session."""
    return Claim(name, process_of(name))


def test_every_entry_reads_back_as_it_was_written() -> None:
    entries: list[Entry] = [
        claim(A),
        Work(A, [(1, 1)], [(0, "completed")]),
        Snap(A, 3, [(4, 6)], [InFlight(3, 2, A)], [(7, 1)], 12),
        Release(A),
    ]
    assert [decode(encode(entry)) for entry in entries] == entries
    assert [encode(entry).startswith(SNAP) for entry in entries] == [False, False, True, False]


def test_a_session_belongs_to_its_process() -> None:
    assert process_of(SessionId("d-1.2.3")) == process("d-1.2")


def test_the_owner_starts_and_ends() -> None:
    state = replay([claim(A), Work(A, [(1, 1), (2, 1)], [(1, "completed")])], None)
    assert state.owner == A
    assert state.done == {1}
    assert state.unfinished() == ([InFlight(2, 1, A)], {})


def test_an_older_session_may_end_what_it_had_started() -> None:
    state = replay([claim(A), Work(A, [(1, 1)]), claim(B), Work(A, [], [(1, "failed")])], None)
    assert state.done == {1}
    assert state.in_flight == {}


def test_an_older_session_may_not_start_or_end_anything_else() -> None:
    state = replay([claim(A), claim(B), Work(A, [(1, 1)], [(1, "x"), (2, "x")])], None)
    assert (state.done, state.in_flight, state.owner) == (set(), {}, B)


def test_an_older_session_may_repeat_what_it_had_started() -> None:
    state = replay([claim(A), Work(A, [(1, 1)]), claim(B), Work(A, [(1, 2)])], None)
    assert state.in_flight == {1: InFlight(1, 2, A)}


def test_the_snap_of_an_older_session_is_ignored() -> None:
    state = replay([claim(A), claim(B), Snap(A, 9, [(9, 20)], [])], None)
    assert (state.watermark, state.done) == (0, set())


def test_an_older_session_cannot_end_what_the_owner_runs_now() -> None:
    log = [claim(A), Work(A, [(1, 1)]), claim(B), Work(B, [(1, 2)]), Work(A, [], [(1, "x")])]
    state = replay(log, None)
    assert state.in_flight == {1: InFlight(1, 2, B)}
    assert state.done == set()


def test_a_call_cut_short_is_lost_until_it_is_started_again() -> None:
    log: list[Entry] = [claim(A), Work(A, [(1, 3)], [(1, LOST)])]
    assert replay(log, None).unfinished() == ([], {1: 3})
    log += [claim(B), Work(B, [(1, 4)])]
    assert replay(log, None).unfinished() == ([InFlight(1, 4, B)], {})


def test_what_a_released_session_left_is_lost() -> None:
    state = replay([claim(A), Work(A, [(1, 2)]), Release(A)], None)
    assert state.unfinished() == ([], {1: 2})


def test_a_snap_stands_for_what_its_session_wrote_before() -> None:
    snap = Snap(A, 4, [(6, 8)], [InFlight(4, 1, A)], [(5, 2)])
    state = replay([snap], A)
    assert (state.watermark, state.done) == (4, {6, 7})
    assert state.unfinished() == ([InFlight(4, 1, A)], {5: 2})


def test_an_end_that_the_maker_of_a_snap_had_not_read_still_counts() -> None:
    held = InFlight(5, 1, A)
    log: list[Entry] = [Work(A, [], [(5, "completed")]), Snap(B, 5, [], [held])]
    state = replay(log, B)
    assert (state.done, state.in_flight) == ({5}, {})


def test_a_repetition_that_the_maker_of_a_snap_had_not_read_still_counts() -> None:
    log: list[Entry] = [Work(A, [(5, 2)]), Snap(B, 5, [], [InFlight(5, 1, A)])]
    assert replay(log, B).in_flight == {5: InFlight(5, 2, A)}


def test_a_journal_whose_beginning_is_gone_is_taken_as_it_comes() -> None:
    state = replay([Work(A, [(8, 1)], [(7, "completed")]), Snap(B, 6, [(7, 8)], [])], None)
    assert (state.owner, state.watermark, state.done) == (B, 6, {7})


def test_a_bookmark_reads_back_and_anything_else_is_the_beginning() -> None:
    assert open_at(bookmark(41, B)) == (41, B)
    for mark in ("", "41", "x y", "-1 a.1", "٤ a.1", " "):
        assert open_at(mark) == (0, None)


class Sessions(RuleBasedStateMachine):
    """Processes take a partition from one another in every way; see `support.partition` for the law."""

    def __init__(self) -> None:
        super().__init__()
        self.world = Partition()
        self.processes = 0

    @rule(gap=st.sampled_from([0, 0, 0, 2]), count=st.integers(1, 3))
    def produce(self, gap: int, count: int) -> None:
        for _ in range(count):
            self.world.produce(gap)

    @precondition(lambda self: self.world.owner is None)
    @rule()
    def claim(self) -> None:
        self.processes += 1
        self.world.claim(f"p{self.processes}")

    @precondition(lambda self: self._live() and self.world.owner is None)
    @rule(choice=st.integers(0, 9))
    def claim_again(self, choice: int) -> None:
        """A process that had the partition before gets it again, while its old calls may still run."""
        honest = [s for s in self._live() if not s.suspect]
        if honest:
            name = honest[choice % len(honest)].name
            self.world.claim(process_of(name))

    @precondition(lambda self: self.world.owner)
    @rule(count=st.integers(1, 4), choice=st.integers(0, 9))
    def work(self, count: int, choice: int) -> None:
        """What an owner does most of the time."""
        owner = self._owner()
        for _ in range(count):
            owner.read()
            owner.begin(choice)

    @precondition(lambda self: self._live())
    @rule(who=st.integers(0, 9), choice=st.integers(0, 9))
    def begin(self, who: int, choice: int) -> None:
        self._one(who).begin(choice)

    @precondition(lambda self: self._live())
    @rule(who=st.integers(0, 9), choice=st.integers(0, 9))
    def finish(self, who: int, choice: int) -> None:
        self._one(who).finish(choice)

    @precondition(lambda self: self._live())
    @rule(who=st.integers(0, 9), choice=st.integers(0, 9))
    def again(self, who: int, choice: int) -> None:
        self._one(who).again(choice)

    @precondition(lambda self: self._live())
    @rule(who=st.integers(0, 9), snap=st.booleans())
    def flush(self, who: int, snap: bool) -> None:
        self._one(who).flush(snap=snap)

    @precondition(lambda self: self._live())
    @rule(who=st.integers(0, 9), count=st.integers(1, 20))
    def follow(self, who: int, count: int) -> None:
        self._one(who).follow(count)

    @precondition(lambda self: self.world.owner)
    @rule()
    def bury(self) -> None:
        self._owner().bury()

    @precondition(lambda self: self._live())
    @rule(who=st.integers(0, 9))
    def commit(self, who: int) -> None:
        self._one(who).commit()

    @precondition(lambda self: self.world.owner)
    @rule()
    def revoke(self) -> None:
        self._owner().revoke()

    @precondition(lambda self: self.world.owner)
    @rule()
    def freeze(self) -> None:
        self._suspend(self._owner(), kill=False)

    @precondition(lambda self: self._live())
    @rule(who=st.integers(0, 9))
    def kill(self, who: int) -> None:
        self._suspend(self._one(who), kill=True)

    @precondition(lambda self: self._live())
    @rule(who=st.integers(0, 9))
    def drain(self, who: int) -> None:
        """A process ends in order: each of its sessions is given back, drained and released."""
        name = process_of(self._one(who).name)
        for member in self._of(name):
            if self.world.owner is member:
                member.revoke()
        for member in self._of(name):
            member.drain()
            member.killed = True
        self.world.dead.add(name)

    def teardown(self) -> None:
        """Whatever happened: once the frozen are gone, the next owner brings every request to its end."""
        for member in self._live():
            if member.suspect:
                member.kill()
        owner = self.world.owner or self.world.claim("last")
        if not owner.tenure.owned:
            owner.revoke()
            owner = self.world.claim("last")
        for member in self._live():
            while member.calls:
                member.finish(0)
            member.flush(snap=False)
        owner.bury()
        for _ in range(2 * len(self.world.offsets)):
            owner.read()
            owner.begin(0)
            owner.finish(0)
        owner.flush(snap=True)
        owner.follow(len(self.world.journal))
        owner.commit()
        assert all(self.world.answered[offset] for offset in self.world.offsets)
        assert self.world.position == max([-1, *self.world.offsets]) + 1 or not self.world.offsets
        assert owner.tenure.elders == {}
        assert owner.tenure.ambiguous == {}

    def _live(self) -> list[Session]:
        return [s for s in self.world.sessions if not s.killed]

    def _one(self, choice: int) -> Session:
        live = self._live()
        return live[choice % len(live)]

    def _of(self, name: str) -> list[Session]:
        return [s for s in self._live() if process_of(s.name) == name]

    def _owner(self) -> Session:
        assert self.world.owner is not None
        return self.world.owner

    def _suspend(self, member: Session, *, kill: bool) -> None:
        for each in self._of(process_of(member.name)):
            if kill:
                each.kill()
            else:
                each.freeze()


Sessions.TestCase.settings = settings(max_examples=150, stateful_step_count=50, deadline=None)
TestSessions = Sessions.TestCase
