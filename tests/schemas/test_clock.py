from hypothesis import given
from hypothesis import strategies as st

from headrace.schemas.clock import WINDOW_MS, BrokerClock

WALL = 1_700_000_000_000


def test_before_the_first_ack_the_wall_clock_serves() -> None:
    clock = BrokerClock(assumed_offset_ms=1_000 - WALL)
    assert clock.now_ms(1_500) == WALL + 500
    assert not clock.known


def test_an_ack_corrects_a_wrong_wall_clock() -> None:
    clock = BrokerClock(assumed_offset_ms=-WALL - 3_600_000)
    clock.observe(WALL, 10)
    assert clock.now_ms(10) == WALL
    assert clock.known


def test_the_fastest_ack_of_the_window_decides() -> None:
    clock = BrokerClock(0)
    for append, received in ((WALL, 50), (WALL + 100, 102), (WALL + 200, 290)):
        clock.observe(append, received)
    assert clock.now_ms(300) == WALL + 298


def test_an_ack_older_than_the_window_is_forgotten() -> None:
    clock = BrokerClock(0)
    clock.observe(WALL + 500, 0)
    late = 2 * WINDOW_MS
    clock.observe(WALL + late, late)
    assert clock.now_ms(late) == WALL + late


def test_without_new_acks_the_last_difference_stays() -> None:
    clock = BrokerClock(0)
    clock.observe(WALL, 0)
    assert clock.now_ms(10 * WINDOW_MS) == WALL + 10 * WINDOW_MS


@given(st.lists(st.tuples(st.integers(0, 5_000), st.integers(0, 300)), min_size=1, max_size=50))
def test_it_never_runs_ahead_of_the_broker(steps: list[tuple[int, int]]) -> None:
    clock = BrokerClock(0)
    own = 0
    for pause, way_back in steps:
        own += pause
        append = WALL + own
        own += way_back
        clock.observe(append, own)
        assert clock.now_ms(own) <= WALL + own
