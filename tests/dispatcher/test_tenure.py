"""A tenure runs each record once: not while an elder may run it, and surely once the elder is gone."""

from collections.abc import Callable

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from headrace.dispatcher.journal import bookmark
from headrace.dispatcher.source_record import SourceRecord
from headrace.dispatcher.tenure import Tenure
from headrace.schemas.journal import (
    CONVICTED,
    LOST,
    Bury,
    Claim,
    InFlight,
    Mark,
    ProcessId,
    Release,
    SessionId,
    Snap,
    Work,
    process_of,
)
from support.dispatch import Record, process, session, tenure

OWN, A, B = session("own"), session("a"), session("b")


def elder(offset: int, of: SessionId = A, attempt: int = 1) -> InFlight:
    """A call that an earlier session began."""
    return InFlight(offset, attempt, of)


def bury(owner: Tenure, alive: Callable[[ProcessId], bool]) -> list[SourceRecord]:
    """The owner writes a BURY and reads it back; returns the records that are free now."""
    return owner.follow(Bury(OWN, owner.to_bury(alive)), 0)


def nobody(_process: ProcessId) -> bool:
    """All are dead."""
    return False


def test_a_record_is_admitted_once() -> None:
    owner = tenure()
    assert owner.admit(Record(offset=0))
    assert not owner.admit(Record(offset=0))


def test_a_record_that_an_elder_runs_is_held() -> None:
    owner = tenure(elders=[elder(0)])
    assert not owner.admit(Record(offset=0))
    assert owner.tracker.watermark == 0


def test_a_held_record_is_done_when_its_elder_says_so() -> None:
    owner = tenure(elders=[elder(0)])
    owner.admit(Record(offset=0))
    assert owner.follow(Work(A, [], [(0, "completed")]), 5) == []
    assert owner.tracker.watermark == 1
    assert bury(owner, nobody) == []


def test_an_elder_that_ends_before_its_record_is_read_leaves_nothing_to_run() -> None:
    owner = tenure(elders=[elder(0)])
    owner.follow(Work(A, [], [(0, "completed")]), 5)
    assert not owner.admit(Record(offset=0))
    assert owner.tracker.watermark == 1


def test_a_held_record_runs_when_its_elder_gave_it_up() -> None:
    owner = tenure(elders=[elder(0, attempt=2)])
    held = Record(offset=0)
    owner.admit(held)
    assert owner.follow(Work(A, [], [(0, LOST)]), 5) == [held]
    assert owner.admit(held)
    assert not owner.admit(held)
    assert owner.lost == {0: 2}


def test_an_elder_of_a_dead_process_is_given_up_once() -> None:
    owner = tenure(elders=[elder(0), elder(1, B)])
    held = [Record(offset=offset) for offset in range(2)]
    for record in held:
        owner.admit(record)
    assert bury(owner, lambda name: name == process("b")) == [held[0]]
    assert bury(owner, lambda name: name == process("b")) == []
    assert owner.follow(Release(B), 5) == [held[1]]


def test_an_elder_given_up_before_its_record_is_read_does_not_hold_it() -> None:
    owner = tenure(elders=[elder(0)])
    assert bury(owner, nobody) == []
    assert owner.admit(Record(offset=0))
    assert owner.lost == {0: 1}


def test_an_end_told_by_another_session_than_the_elders_counts_for_nothing() -> None:
    owner = tenure(elders=[elder(0)])
    owner.follow(Work(B, [], [(0, "completed")]), 5)
    owner.follow(Release(B), 6)
    assert owner.elders == {0: elder(0)}


def test_an_end_told_by_an_elder_that_was_given_up_counts_for_nothing() -> None:
    owner = tenure(elders=[elder(0)])
    owner.admit(Record(offset=0))
    bury(owner, nobody)
    owner.follow(Work(A, [], [(0, "completed")]), 5)
    assert owner.tracker.watermark == 0


def test_a_repetition_by_an_elder_raises_the_attempt() -> None:
    owner = tenure(elders=[elder(0)])
    owner.follow(Work(A, [(0, 2)]), 5)
    bury(owner, nobody)
    assert owner.lost == {0: 2}


def test_elders_and_lost_calls_below_the_position_are_no_concern() -> None:
    owner = tenure(position=5, elders=[elder(4)], lost={3: 1})
    assert (owner.elders, owner.lost) == ({}, {})


def test_the_claim_of_another_ends_the_ownership() -> None:
    owner = tenure()
    owner.follow(Claim(OWN, process_of(OWN)), 4)
    assert owner.owned
    owner.follow(Claim(B, process_of(B)), 5)
    assert not owner.owned


def test_a_lost_call_is_remembered_until_it_starts_again() -> None:
    owner = tenure(lost={0: 3})
    assert owner.snap().lost == [(0, 3)]
    owner.started(0, 4)
    assert owner.snap().lost == []
    assert owner.snap().in_flight == [InFlight(0, 4, OWN)]


def test_a_call_cut_short_here_is_told_as_lost() -> None:
    owner = tenure()
    owner.admit(Record(offset=0))
    owner.started(0, 2)
    owner.cut_short(0)
    assert owner.snap() == Snap(OWN, 0, [], [], [(0, 2)], 0, read_to=1)


def test_a_lost_call_that_ends_without_a_call_is_forgotten() -> None:
    owner = tenure(lost={0: 1})
    owner.admit(Record(offset=0))
    owner.finished(0)
    assert owner.snap().lost == []


def test_a_snap_tells_what_runs_what_is_waited_for_and_what_is_done() -> None:
    owner = tenure(elders=[elder(1)])
    for offset in range(4):
        owner.admit(Record(offset=offset))
    owner.started(0, 1)
    owner.finished(3)
    running = [InFlight(0, 1, OWN), elder(1)]
    assert owner.snap() == Snap(OWN, 0, [(3, 4)], running, [], 0, read_to=4)


def test_a_snap_read_back_moves_the_bookmark_to_where_its_maker_had_read() -> None:
    owner = tenure()
    owner.follow(Work(A, [], []), 7)
    snap = owner.snap()
    owner.follow(Work(A, [], []), 8)
    owner.follow(snap, 9)
    assert owner.bookmark == bookmark(8, OWN)


def test_a_snap_that_stands_behind_the_claim_of_another_moves_no_bookmark() -> None:
    owner = tenure()
    owner.follow(Claim(B, process_of(B)), 7)
    owner.follow(owner.snap(), 8)
    assert owner.bookmark == ""


def test_the_snap_of_another_moves_no_bookmark() -> None:
    owner = tenure()
    owner.follow(Snap(A, 9, [], []), 7)
    assert (owner.bookmark, owner.tracker.watermark) == ("", 0)


class Elders(RuleBasedStateMachine):
    """Held records beside what must become of them: run here once, or done by their elder."""

    OFFSETS = range(8)

    def __init__(self) -> None:
        super().__init__()
        self.waited_for = {o: (A, B)[o % 2] for o in self.OFFSETS if o % 4}
        self.tenure = tenure(elders=[elder(o, of) for o, of in self.waited_for.items()])
        self.admitted: list[int] = []
        self.done: set[int] = set()
        self.read_to = 0

    def _take(self, records: list[int]) -> None:
        self.admitted += [o for o in records if self.tenure.admit(Record(offset=o))]

    @rule()
    def read(self) -> None:
        if self.read_to in self.OFFSETS:
            self._take([self.read_to])
            self.read_to += 1

    @rule(
        offset=st.sampled_from(OFFSETS),
        of=st.sampled_from([A, B]),
        how=st.sampled_from(["x", LOST]),
    )
    def told(self, offset: int, of: SessionId, how: str) -> None:
        freed = self.tenure.follow(Work(of, [], [(offset, how)]), 0)
        if self.waited_for.get(offset) == of:
            del self.waited_for[offset]
            if how != LOST:
                self.done.add(offset)
        self._take([record.offset for record in freed])

    @rule(of=st.sampled_from([A, B]))
    def released(self, of: SessionId) -> None:
        freed = self.tenure.follow(Release(of), 0)
        self._gone(of)
        self._take([record.offset for record in freed])

    @rule(of=st.sampled_from([A, B]))
    def died(self, of: SessionId) -> None:
        freed = bury(self.tenure, lambda name: name != process_of(of))
        self._gone(of)
        self._take([record.offset for record in freed])

    @rule(choice=st.integers(0, 9))
    def finish(self, choice: int) -> None:
        running = [o for o in self.admitted if o not in self.done]
        if running:
            offset = running[choice % len(running)]
            self.done.add(offset)
            self.tenure.finished(offset)

    @invariant()
    def each_read_record_is_run_or_done_or_waited_for(self) -> None:
        assert len(self.admitted) == len(set(self.admitted))
        for offset in range(self.read_to):
            ways = (offset in self.admitted, offset in self.waited_for, offset in self.done)
            assert any(ways)
            assert not (ways[0] and ways[1])
        assert self.tenure.elders.keys() == self.waited_for.keys()
        held = {o for o in self.waited_for if o < self.read_to}
        assert self.tenure._held.keys() == held
        assert not self.tenure._freed

    @invariant()
    def the_watermark_stops_at_the_first_that_is_not_done(self) -> None:
        not_done = [o for o in range(self.read_to) if o not in self.done]
        assert self.tenure.tracker.watermark == min(not_done, default=self.read_to)

    def _gone(self, of: SessionId) -> None:
        self.waited_for = {o: s for o, s in self.waited_for.items() if s != of}


Elders.TestCase.settings = settings(max_examples=80, stateful_step_count=30, deadline=None)
TestElders = Elders.TestCase


def test_a_tenure_adopts_what_its_own_process_runs_and_has_done() -> None:
    """The journal takes nothing from a session that another has replaced without its knowledge."""
    before, after = tenure(of=session("own", 1)), tenure(of=session("own", 2))
    for offset in range(3):
        before.admit(Record(offset=offset))
    before.started(0, 1)
    before.finished(2)
    after.adopt(before)
    assert [after.admit(Record(offset=offset)) for offset in range(3)] == [False, True, False]
    after.follow(Work(before.session, [], [(0, "completed")]), 9)
    assert after.tracker.watermark == 1


def test_a_buried_suspect_has_one_crash_more_and_one_on_trial_is_convicted() -> None:
    owner = tenure(elders=[elder(0), elder(1), elder(2, attempt=-1)])
    owner.follow(Work(A, [], [], [(1, True)]), 4)
    bury(owner, nobody)
    assert owner.crashes == {0: 1, 1: CONVICTED}
    assert owner.lost == {0: 1, 1: 1, 2: -1}


def test_the_marks_of_a_delay_partition_go_to_the_successor() -> None:
    owner = tenure(delay_ms=1000)
    owner.marks.add(Mark("p", 3, A, 1, 50), 40)
    owner.marks.add(Mark("q", 4, A, 1, 90_000), 60_000)
    assert owner.snap().marks == [Mark("q", 4, A, 1, 90_000)]
