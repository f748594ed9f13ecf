"""A broker's clock that is set is noticed by the owner's own."""

from headrace.dispatcher.governor.timeline import LEAP_MS, Timeline

HOUR_MS = 3_600_000


def running(log_ms: int = 1_000) -> Timeline:
    """The own clock began at 0."""
    timeline = Timeline()
    assert timeline.now_ms(log_ms, 0, 0) == log_ms
    return timeline


def test_small_differences_are_those_of_an_estimate() -> None:
    timeline = running()
    assert timeline.now_ms(1_900, 100, 0) == 1_900
    assert timeline.now_ms(1_300, 200, 0) == 1_300
    assert timeline.leaps == 0


def test_a_leap_is_taken_off_from_then_on() -> None:
    timeline = running()
    assert timeline.now_ms(HOUR_MS, 100, 0) == 1_100
    assert timeline.now_ms(HOUR_MS + 50, 150, 0) == 1_150
    assert timeline.stamp_ms(HOUR_MS + 40) == 1_140
    assert timeline.now_ms(1_200, 200, 0) == 1_200
    assert timeline.leaps == 2


def test_what_was_written_before_a_leap_counts_as_new() -> None:
    timeline = running()
    timeline.now_ms(HOUR_MS, 100, 0)
    assert timeline.stamp_ms(1_050) == 1_100 + LEAP_MS


def test_a_stamp_from_before_the_leap_is_known_counts_as_new() -> None:
    timeline = running(HOUR_MS)
    assert timeline.stamp_ms(5) == HOUR_MS + LEAP_MS


def test_an_owner_begins_where_the_records_that_it_read_end() -> None:
    timeline = Timeline()
    assert timeline.now_ms(5_000, 0, HOUR_MS) == HOUR_MS
    assert timeline.now_ms(5_100, 100, HOUR_MS) == HOUR_MS + 100
