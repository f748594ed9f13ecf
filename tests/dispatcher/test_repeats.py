"""What a process remembers for judging calls: usual times, and what repeats have cost."""

import random

from headrace.dispatcher.policy.retry import Tried
from headrace.dispatcher.ports import CallEnd
from headrace.dispatcher.repeats import Repeats
from headrace.dispatcher.service_times import ServiceTimes
from headrace.dispatcher.verdicts import After, Expire, Retry
from headrace.schemas.config.model import ModelConfig, RetryConfig
from headrace.schemas.names import ModelName

MODEL = ModelName("m")
NOW_MS = 1_790_000_000_000
GOOD, BAD, THROTTLED = CallEnd(status=200), CallEnd(status=500), CallEnd(status=429)


def judge(repeats: Repeats, end: CallEnd, *, call_ms: int = 100, left_ms: int = 3_600_000) -> After:
    tried = Tried(attempt=1, history=(), deadline_ms=NOW_MS + left_ms)
    return repeats.judge(
        end, tried, model=MODEL, now_ms=NOW_MS, now_s=0, roll=0, call_ms=call_ms, elsewhere=False
    )


def test_the_usual_time_settles_at_the_median() -> None:
    times, dice = ServiceTimes(), random.Random(4)
    for _ in range(2_000):
        times.took(MODEL, dice.choice([90, 100, 110, 120, 60_000]))
    assert 85 <= times.typical_ms(MODEL) <= 130


def test_nine_of_ten_calls_end_within_the_slow_time() -> None:
    times, dice = ServiceTimes(), random.Random(4)
    for _ in range(5_000):
        times.took(MODEL, dice.randrange(1_000, 2_000))
    assert 1_700 <= times.slow_ms(MODEL) <= 2_100


def test_a_call_that_was_cut_tells_only_that_calls_can_be_longer() -> None:
    times = ServiceTimes()
    times.took(MODEL, 100)
    times.cut(MODEL, 50)
    assert times.slow_ms(MODEL) == 100
    for _ in range(100):
        times.cut(MODEL, 1_000)
    assert times.slow_ms(MODEL) >= 1_000


def test_one_long_answer_makes_no_retry_look_hopeless() -> None:
    times = ServiceTimes()
    for ms in [100] * 50 + [600_000]:
        times.took(MODEL, ms)
    assert times.typical_ms(MODEL) < 120


def test_a_retry_that_leaves_no_time_for_a_usual_call_is_not_begun() -> None:
    repeats = Repeats({})
    for _ in range(3):
        judge(repeats, GOOD, call_ms=5_000)
    assert isinstance(judge(repeats, BAD, left_ms=4_000), Expire)
    assert isinstance(judge(repeats, BAD, left_ms=6_000), Retry)


def test_failed_calls_do_not_tell_how_long_a_call_takes() -> None:
    repeats = Repeats({})
    judge(repeats, BAD, call_ms=5_000)
    assert isinstance(judge(repeats, BAD, left_ms=1_000), Retry)


def test_an_outage_puts_repeats_off_and_a_throttle_costs_nothing() -> None:
    settings = ModelConfig(retry=RetryConfig(budget=0, budget_floor_per_s=0.05))
    repeats = Repeats({MODEL: settings})
    for _ in range(10):
        judge(repeats, THROTTLED)
    failed = [judge(repeats, BAD) for _ in range(5)]
    waits = [verdict.due_ms - NOW_MS for verdict in failed if isinstance(verdict, Retry)]
    assert waits == [0, 0, 0, 20_000, 40_000]
