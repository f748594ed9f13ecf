"""Who counts as dead, and when a process holds itself back."""

from hypothesis import given
from hypothesis import strategies as st

from headrace.dispatcher.fleet import BEAT_S, DEAD_AFTER_MS, FENCE_S, GAP_MS, Fleet
from headrace.schemas.journal import Beat
from support.dispatch import process

OWN, OTHER = process("own"), process("other")
BEAT_MS = round(BEAT_S * 1000)


def beats(fleet: Fleet, *, of: str, first_ms: int, count: int, sent_ms: int = 0) -> int:
    """`count` beats of one process, a second apart; returns the last one's time."""
    for number in range(count):
        fleet.beat(Beat(process(of), sent_ms), first_ms + number * BEAT_MS)
    return first_ms + (count - 1) * BEAT_MS


def test_a_process_that_beats_lives() -> None:
    fleet = Fleet(OWN)
    beats(fleet, of="other", first_ms=1_000, count=3)
    assert fleet.alive(OTHER)


def test_a_process_dies_when_the_log_goes_on_without_it() -> None:
    fleet = Fleet(OWN)
    fleet.beat(Beat(OTHER, 0), 1_000)
    beats(fleet, of="own", first_ms=2_000, count=5)
    assert fleet.alive(OTHER)
    fleet.beat(Beat(OWN, 0), 7_000)
    assert not fleet.alive(OTHER)


def test_nobody_is_dead_to_a_reader_that_sees_no_beats() -> None:
    fleet = Fleet(OWN)
    fleet.beat(Beat(OTHER, 0), 1_000)
    assert fleet.alive(OTHER)
    assert fleet.alive(process("never-heard-of"))


def test_a_process_never_heard_of_dies_once_the_log_has_gone_on_without_it() -> None:
    fleet = Fleet(OWN)
    last = beats(fleet, of="own", first_ms=1_000, count=2)
    assert fleet.alive(OTHER)
    beats(fleet, of="own", first_ms=last + BEAT_MS, count=6)
    assert not fleet.alive(OTHER)


def test_after_a_gap_of_the_whole_log_nobody_is_dead_at_once() -> None:
    fleet = Fleet(OWN)
    fleet.beat(Beat(OTHER, 0), 1_000)
    fleet.beat(Beat(OWN, 0), 1_500)
    fleet.beat(Beat(OWN, 0), 21_500)
    assert fleet.alive(OTHER)
    fleet.beat(Beat(OTHER, 0), 21_501)
    beats(fleet, of="own", first_ms=22_500, count=4)
    assert fleet.alive(OTHER)


def test_a_broker_with_a_clock_behind_takes_no_life_back() -> None:
    fleet = Fleet(OWN)
    fleet.beat(Beat(OTHER, 0), 50_000)
    fleet.beat(Beat(OWN, 0), 10_000)
    assert fleet.alive(OTHER)
    assert fleet.alive(OWN)


def test_a_process_that_has_not_read_its_own_beat_is_fenced() -> None:
    fleet = Fleet(OWN)
    beats(fleet, of="other", first_ms=1_000, count=3)
    assert fleet.fenced(0.0)


def test_the_fence_counts_from_when_the_beat_was_sent_not_from_when_it_was_read() -> None:
    fleet = Fleet(OWN)
    fleet.beat(Beat(OWN, 10_000), 99_000)
    assert not fleet.fenced(10.0 + FENCE_S)
    assert fleet.fenced(10.01 + FENCE_S)


def test_an_old_beat_read_late_does_not_move_the_fence_back() -> None:
    fleet = Fleet(OWN)
    fleet.beat(Beat(OWN, 10_000), 1_000)
    fleet.beat(Beat(OWN, 5_000), 1_001)
    assert not fleet.fenced(12.0)


def test_processes_long_gone_are_forgotten() -> None:
    fleet = Fleet(OWN)
    for number in range(100):
        fleet.beat(Beat(process(f"old-{number}"), 0), 1_000)
    beats(fleet, of="own", first_ms=2_000, count=700)
    assert not any(name.startswith("old-") for name in fleet._last_ms)


@given(
    pauses=st.lists(st.integers(0, 30_000), max_size=40),
    delay_ms=st.integers(0, 2_000),
)
def test_a_process_is_fenced_before_others_count_it_dead(pauses: list[int], delay_ms: int) -> None:
    """One process stops beating; the other beats with any pauses. Both clocks run at one speed."""
    fleet = Fleet(OTHER)
    sent_ms = 1_000_000
    fleet.beat(Beat(OWN, sent_ms), sent_ms + delay_ms)
    now_ms = sent_ms + delay_ms
    for pause in pauses:
        now_ms += pause
        fleet.beat(Beat(OTHER, now_ms), now_ms)
        if not fleet.alive(OWN):
            assert now_ms - sent_ms > FENCE_S * 1000


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(-5_000, 60_000)), max_size=60))
def test_who_beat_within_the_last_records_lives_whatever_the_brokers_clock_says(
    log: list[tuple[int, int]],
) -> None:
    fleet = Fleet(OWN)
    at_ms = 100_000
    recent: list[int] = []
    for number, step in log:
        at_ms += step
        fleet.beat(Beat(process(f"p{number}"), 0), at_ms)
        recent = [*recent, number][-(DEAD_AFTER_MS // GAP_MS + 1) :]
        assert all(fleet.alive(process(f"p{seen}")) for seen in recent)


def test_a_lapse_is_counted_when_own_beats_come_back_after_a_pause() -> None:
    own = Fleet(process("own"))
    for sent_ms in (0, 1_000, 4_001, 5_000):
        own.beat(Beat(process("own"), sent_ms), sent_ms)
    assert own.lapses == 1


def test_it_counts_who_lives_at_its_own_beats() -> None:
    fleet = Fleet(OWN)
    fleet.beat(Beat(OTHER, 0), 1_000)
    beats(fleet, of="own", first_ms=2_000, count=5)
    assert fleet.living == 2
    fleet.beat(Beat(OWN, 0), 7_000)
    assert fleet.living == 1
