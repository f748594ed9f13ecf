"""The enforced limit: a true sliding window and seats."""

from hypothesis import given
from hypothesis import strategies as st

from headrace.cli.mock.attempts import Attempts
from headrace.cli.mock.replies import Pace, Reply, slowed
from headrace.cli.mock.script import Script
from headrace.cli.mock.window import MAX_MODELS, Limits, ModelLimit


def test_the_call_above_the_limit_waits_for_the_oldest_to_leave() -> None:
    limit, script = ModelLimit(), Script(requests_per_minute=2)
    assert limit.admit(script, 10.0).admitted
    assert limit.admit(script, 30.0).admitted
    refused = limit.admit(script, 40.0)
    assert (refused.admitted, refused.retry_after_s, refused.remaining) == (False, 30.0, 0)


def test_a_place_is_free_again_exactly_one_window_later() -> None:
    limit, script = ModelLimit(), Script(requests_per_minute=1)
    limit.admit(script, 0.0)
    assert not limit.admit(script, 59.999).admitted
    assert limit.admit(script, 60.0).admitted


def test_a_refused_call_takes_no_place() -> None:
    limit, script = ModelLimit(), Script(requests_per_minute=1)
    limit.admit(script, 0.0)
    limit.admit(script, 59.0)
    assert limit.admit(script, 60.0).admitted


def test_a_seat_is_free_again_when_its_call_leaves() -> None:
    limit, script = ModelLimit(), Script(concurrency=1)
    assert limit.admit(script, 0.0).admitted
    assert not limit.admit(script, 0.1).admitted
    limit.leave()
    assert limit.admit(script, 0.2).admitted


def test_tokens_leave_the_window_with_the_calls_that_took_them() -> None:
    limit, script = ModelLimit(), Script(tokens_per_minute=100)
    assert limit.admit(script, 0.0, 30).admitted
    assert limit.admit(script, 10.0, 60).admitted
    refused = limit.admit(script, 20.0, 50)
    assert (refused.admitted, refused.retry_after_s) == (False, 50.0)
    assert limit.admit(script, 20.0, 10).admitted
    assert limit.admit(script, 60.0, 30).admitted
    assert not limit.admit(script, 60.0, 1).admitted


def test_a_call_above_the_limit_on_tokens_is_told_to_wait_a_window() -> None:
    refused = ModelLimit().admit(Script(tokens_per_minute=100), 0.0, 101)
    assert (refused.admitted, refused.retry_after_s) == (False, 60.0)


@given(
    gaps=st.lists(st.floats(0, 30), max_size=60),
    limit=st.integers(1, 5),
    window=st.floats(1, 60),
)
def test_no_window_holds_more_than_the_limit(gaps: list[float], limit: int, window: float) -> None:
    script = Script(requests_per_minute=limit, window_s=window)
    state, now, passed = ModelLimit(), 0.0, list[float]()
    for gap in gaps:
        now += gap
        if state.admit(script, now).admitted:
            passed.append(now)
    for end in passed:
        assert sum(0 <= end - at < window for at in passed) <= limit


@given(gaps=st.lists(st.floats(0, 30), max_size=40), limit=st.integers(1, 4))
def test_a_call_is_admitted_after_the_wait_it_was_told(gaps: list[float], limit: int) -> None:
    script, state, now = Script(requests_per_minute=limit), ModelLimit(), 0.0
    for gap in gaps:
        now += gap
        admission = state.admit(script, now)
        if not admission.admitted:
            now += admission.retry_after_s + 1e-6
            assert state.admit(script, now).admitted


def test_each_model_has_a_limit_of_its_own() -> None:
    limits, script = Limits(), Script(requests_per_minute=1)
    assert limits.of("a").admit(script, 0.0).admitted
    assert limits.of("b").admit(script, 0.0).admitted
    assert not limits.of("a").admit(script, 0.0).admitted


def test_names_without_end_do_not_fill_memory() -> None:
    limits = Limits()
    first = limits.of("0")
    for number in range(MAX_MODELS + 1):
        limits.of(str(number + 1))
    assert limits.of("0") is not first


def test_attempts_are_counted_per_digest() -> None:
    attempts = Attempts(capacity=10)
    assert [attempts.count(digest) for digest in (b"a", b"b", b"a", b"a")] == [1, 1, 2, 3]


def test_the_digest_unseen_for_longest_is_forgotten_first() -> None:
    attempts = Attempts(capacity=2)
    for digest in (b"a", b"b", b"a", b"c"):
        attempts.count(digest)
    assert (attempts.count(b"a"), attempts.count(b"b")) == (3, 1)


def test_above_what_goes_at_full_speed_a_call_is_slower_by_the_ratio() -> None:
    reply = Reply(200, (), pace=Pace(1.0, 2.0, 3.0, 4.0))
    assert slowed(reply, 4, 4) == slowed(reply, 0, 100) == reply
    assert slowed(reply, 4, 8).pace == Pace(2.0, 4.0, 6.0, 4.0)
