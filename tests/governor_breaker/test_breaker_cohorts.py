"""Calls by the second of their start: recorded by dispatchers, merged by the owner."""

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from headrace.dispatcher.governor.breaker.cohorts import MOST_REPORTERS, Cohorts, plus
from headrace.dispatcher.governor.breaker.policy import FARTHEST_S, BreakerPolicy
from headrace.dispatcher.governor.breaker.recorder import MOST_TENANTS, OTHERS, Recorder
from headrace.dispatcher.governor.effects import BreakerEffect
from headrace.schemas.cohorts import Cell, Counts
from headrace.schemas.names import Tenant

POLICY = BreakerPolicy()
NOW_S = 1_800_000_000
NOW_MS = NOW_S * 1000
ACME, BOLT = Tenant("acme"), Tenant("bolt")

reports = st.lists(
    st.tuples(
        st.sampled_from(["d1", "d2"]),
        st.integers(NOW_S - 3, NOW_S),
        st.sampled_from([ACME, BOLT]),
        st.integers(0, 9),
        st.integers(0, 9),
    ),
    max_size=30,
)


def merged(told: list[tuple[str, int, Tenant, int, int]]) -> dict[Tenant, Counts]:
    """What the owner knows after these reports."""
    cohorts = Cohorts(POLICY)
    for reporter, second, tenant, started, failed in told:
        cohorts.take(reporter, [Cell(second, tenant, Counts(started, failed=failed))], NOW_MS)
    found = cohorts.by_tenant(NOW_S - 3, NOW_S)
    total = Counts()
    for counts in found.values():
        total = plus(total, counts)
    assert total == cohorts.sums(NOW_S - 3, NOW_S)
    return {tenant: counts for tenant, counts in found.items() if counts != Counts()}


@given(told=reports, dice=st.randoms())
def test_order_and_repetition_of_reports_change_nothing(
    told: list[tuple[str, int, Tenant, int, int]], dice: Random
) -> None:
    shuffled = [*told, *told]
    dice.shuffle(shuffled)
    assert merged(shuffled) == merged(told)


def test_reports_of_several_dispatchers_add_up() -> None:
    one = ("d1", NOW_S, ACME, 3, 1)
    other = ("d2", NOW_S, ACME, 4, 0)
    assert merged([one, other]) == {ACME: Counts(7, failed=1)}


def test_what_is_too_old_or_in_the_future_is_not_taken() -> None:
    cohorts = Cohorts(POLICY)
    for second in (NOW_S - POLICY.keep_s - 1, NOW_S + 3):
        cohorts.take("d1", [Cell(second, ACME, Counts(1))], NOW_MS)
    assert len(cohorts) == 0


def test_memory_does_not_grow_with_time() -> None:
    cohorts = Cohorts(POLICY)
    for second in range(NOW_S, NOW_S + 3 * FARTHEST_S):
        cohorts.take("d1", [Cell(second, ACME, Counts(1))], second * 1000)
    assert len(cohorts) <= 2 * (POLICY.keep_s + 1) + FARTHEST_S + 1


def test_memory_does_not_grow_with_the_number_of_reporters() -> None:
    cohorts = Cohorts(POLICY)
    for number in range(MOST_REPORTERS + 50):
        cohorts.take(f"d{number}", [Cell(NOW_S, ACME, Counts(1))], NOW_MS)
    assert cohorts.sums(NOW_S, NOW_S).started == MOST_REPORTERS


def test_a_call_counts_for_the_second_of_its_start() -> None:
    recorder = Recorder(POLICY)
    call = recorder.start(ACME, NOW_MS, stream=True)
    recorder.end(call, BreakerEffect.FAILURE, NOW_MS + 20_000)
    counts = Counts(started=1, ended=1, failed=1, streams=1, begun=1)
    assert recorder.changed(NOW_MS) == [Cell(NOW_S, ACME, counts)]


def test_a_first_byte_is_counted_once_and_knows_whether_it_was_slow() -> None:
    recorder = Recorder(POLICY)
    call = recorder.start(ACME, NOW_MS, stream=True)
    recorder.first_byte(call, NOW_MS + POLICY.slow_ms + 1)
    recorder.first_byte(call, NOW_MS + POLICY.slow_ms + 2)
    recorder.end(call, BreakerEffect.SUCCESS, NOW_MS + POLICY.slow_ms + 3)
    counts = Counts(started=1, ended=1, streams=1, begun=1, slow=1)
    assert recorder.changed(NOW_MS)[0].counts == counts


def test_a_plain_answer_is_not_waited_for() -> None:
    recorder = Recorder(POLICY)
    call = recorder.start(ACME, NOW_MS, stream=False)
    recorder.first_byte(call, NOW_MS + POLICY.slow_ms + 1)
    assert recorder.changed(NOW_MS)[0].counts == Counts(started=1)


def test_an_end_that_no_window_would_see_counts_as_a_call_of_now() -> None:
    recorder = Recorder(POLICY)
    call = recorder.start(ACME, NOW_MS, stream=False)
    later_ms = NOW_MS + 600_000
    recorder.forget(later_ms)
    recorder.end(call, BreakerEffect.FAILURE, later_ms)
    counts = Counts(started=1, ended=1, failed=1)
    assert recorder.changed(0) == [Cell(later_ms // 1000, ACME, counts)]


def test_a_change_is_told_again_until_it_is_old() -> None:
    recorder = Recorder(POLICY)
    recorder.start(ACME, NOW_MS, stream=False)
    assert recorder.changed(NOW_MS)
    assert not recorder.changed(NOW_MS + 1)


def test_many_tenants_of_a_second_become_one() -> None:
    recorder = Recorder(POLICY)
    for number in range(MOST_TENANTS + 5):
        recorder.start(Tenant(f"t{number}"), NOW_MS, stream=False)
    cells = {cell.tenant: cell.counts.started for cell in recorder.changed(0)}
    assert len(cells) == MOST_TENANTS + 1
    assert cells[OTHERS] == 5
