"""Only a contiguous finished prefix is ever committed (P4)."""

from itertools import pairwise

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from headrace.dispatcher.offsets import OffsetTracker


def test_an_unread_partition_commits_where_it_began() -> None:
    assert OffsetTracker(7).watermark == 7


def test_a_later_offset_done_first_moves_nothing() -> None:
    tracker = OffsetTracker(0)
    for offset in range(3):
        assert tracker.read(offset)
    tracker.finish(2)
    assert tracker.watermark == 0
    assert tracker.done_ranges() == [(2, 3)]


def test_the_last_gap_closed_moves_past_all_that_is_done() -> None:
    tracker = OffsetTracker(0)
    for offset in range(3):
        tracker.read(offset)
    for offset in (2, 1, 0):
        tracker.finish(offset)
    assert (tracker.watermark, tracker.span, tracker.done_ranges()) == (3, 0, [])


def test_offsets_that_hold_no_record_count_as_done() -> None:
    tracker = OffsetTracker(0)
    tracker.read(0)
    tracker.read(9)
    tracker.finish(0)
    assert tracker.watermark == 9
    tracker.finish(9)
    assert tracker.watermark == 10


def test_what_an_earlier_owner_finished_is_not_run_and_not_waited_for() -> None:
    tracker = OffsetTracker(5, done={3, 5, 6, 8})
    assert [tracker.read(offset) for offset in range(5, 9)] == [False, False, True, False]
    assert tracker.watermark == 7
    tracker.finish(7)
    assert tracker.watermark == 9


def test_an_offset_finished_before_it_is_read_is_not_run() -> None:
    tracker = OffsetTracker(0)
    tracker.finish(1)
    assert tracker.watermark == 0
    assert tracker.read(0)
    assert not tracker.read(1)
    tracker.finish(0)
    assert tracker.watermark == 2


def test_an_offset_is_read_once() -> None:
    tracker = OffsetTracker(0)
    assert tracker.read(4)
    assert not tracker.read(4)
    assert not tracker.read(3)


def test_done_offsets_whose_records_are_gone_are_forgotten() -> None:
    tracker = OffsetTracker(0, done={2, 3, 50})
    tracker.read(40)
    tracker.finish(40)
    assert tracker.watermark == 41
    assert tracker.done_ranges() == [(50, 51)]


class TrackerAgainstModel(RuleBasedStateMachine):
    """The tracker beside sets that keep everything."""

    def __init__(self) -> None:
        super().__init__()
        self.tracker = OffsetTracker(3, done={4, 5, 9, 30})
        self.known_done = {4, 5, 9, 30}
        self.open: set[int] = set()
        self.next = 3
        self.committed = 3

    @rule(gap=st.sampled_from([0, 0, 0, 1, 5]))
    def read(self, gap: int) -> None:
        offset = self.next + gap
        fresh = self.tracker.read(offset)
        assert fresh == (offset not in self.known_done)
        if fresh:
            self.open.add(offset)
        self.next = offset + 1

    @rule(back=st.integers(1, 10))
    def read_again(self, back: int) -> None:
        assert not self.tracker.read(self.next - back)

    @precondition(lambda self: self.open)
    @rule(choice=st.integers(0, 50))
    def finish(self, choice: int) -> None:
        offset = sorted(self.open)[choice % len(self.open)]
        self.open.discard(offset)
        self.known_done.add(offset)
        self.tracker.finish(offset)

    @rule(ahead=st.integers(0, 8))
    def finish_unread(self, ahead: int) -> None:
        self.known_done.add(self.next + ahead)
        self.tracker.finish(self.next + ahead)

    @rule(back=st.integers(1, 12))
    def finish_twice(self, back: int) -> None:
        if self.next - back not in self.open:
            self.tracker.finish(self.next - back)

    @invariant()
    def watermark_stops_at_the_first_open_offset(self) -> None:
        assert self.tracker.watermark == min(self.open, default=self.next)
        assert self.tracker.next_offset == self.next
        assert self.tracker.span == self.next - self.tracker.watermark

    @invariant()
    def watermark_never_goes_back(self) -> None:
        assert self.tracker.watermark >= self.committed
        self.committed = self.tracker.watermark

    @invariant()
    def ranges_hold_what_is_done_and_nothing_open(self) -> None:
        ranges = self.tracker.done_ranges()
        told = {offset for start, end in ranges for offset in range(start, end)}
        above = {offset for offset in self.known_done if offset >= self.tracker.watermark}
        assert above <= told
        assert not told & self.open
        assert all(a[1] < b[0] for a, b in pairwise(ranges))
        assert all(start >= self.tracker.watermark for start, _ in ranges)


TrackerAgainstModel.TestCase.settings = settings(max_examples=60, stateful_step_count=40)
TestTrackerAgainstModel = TrackerAgainstModel.TestCase
