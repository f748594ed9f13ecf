"""Rules A to D at their bounds: first their shares alone, then with evidence asked for."""

import pytest

from headrace.dispatcher.governor.breaker.cohorts import Cohorts
from headrace.dispatcher.governor.breaker.policy import BreakerPolicy
from headrace.dispatcher.governor.breaker.rules import judge
from headrace.schemas.breakers import Why
from headrace.schemas.cohorts import Cell, Counts
from headrace.schemas.names import Tenant

POLICY = BreakerPolicy(evidence=0)
USUAL = BreakerPolicy()
NOW_S = 1_800_000_000
ACME, BOLT, CARGO = Tenant("acme"), Tenant("bolt"), Tenant("cargo")


def found(
    *cells: tuple[int, Tenant, Counts], policy: BreakerPolicy = POLICY, since_s: int = 0
) -> Why | None:
    """What the rules say of calls that were started so many seconds ago."""
    cohorts = Cohorts(policy)
    # Told as they happen: a cell is reported while it is young.
    for age_s, tenant, counts in sorted(cells, key=lambda cell: -cell[0]):
        told_s = NOW_S - age_s
        cohorts.take("d1", [Cell(told_s, tenant, counts)], told_s * 1000)
    cohorts.turn(NOW_S * 1000)
    finding = judge(cohorts, since_s * 1000, NOW_S * 1000, policy)
    return None if finding is None else finding.why


def calls(started: int, failed: int, **counts: int) -> Counts:
    """Plain calls, all ended."""
    return Counts(started, started, failed, **counts)


def streams(started: int, begun: int, slow: int = 0) -> Counts:
    """Streams, of which some have a first byte."""
    return Counts(started, begun, streams=started, begun=begun, slow=slow)


@pytest.mark.parametrize(
    ("started", "failed", "why"),
    [(10, 5, Why.ERRORS), (10, 4, None), (9, 8, None), (200, 100, Why.ERRORS), (200, 99, None)],
)
def test_half_of_ten_calls_just_started_trip(started: int, failed: int, why: Why | None) -> None:
    assert found((2, ACME, calls(started, failed))) is why


def test_calls_that_have_not_ended_count_as_started() -> None:
    assert found((0, ACME, Counts(started=100, ended=49, failed=49))) is None


def test_calls_older_than_the_window_are_not_errors_of_now() -> None:
    assert found((5, ACME, calls(100, 100)), (0, ACME, calls(100, 0))) is None


def test_an_overload_weighs_half() -> None:
    assert found((0, ACME, Counts(10, 10, overloaded=10))) is Why.ERRORS
    assert found((0, ACME, Counts(10, 10, overloaded=9))) is None


def test_calls_that_tell_nothing_are_on_neither_side_of_the_share() -> None:
    flood = Counts(started=990, ended=990, ignored=990)
    assert found((0, ACME, calls(10, 5)), (0, BOLT, flood)) is Why.ERRORS
    assert found((0, ACME, Counts(1_000, 1_000, ignored=1_000))) is None


def test_one_poisonous_tenant_opens_nothing() -> None:
    assert found((1, ACME, calls(90, 90)), (1, BOLT, calls(10, 1))) is None


def test_two_failing_tenants_open() -> None:
    assert found((1, ACME, calls(90, 90)), (1, BOLT, calls(10, 5))) is Why.ERRORS


def test_a_tenant_alone_is_believed() -> None:
    assert found((1, ACME, calls(10, 10))) is Why.ERRORS


def test_a_tenant_whose_calls_tell_nothing_is_not_active() -> None:
    nothing = Counts(5, 5, ignored=5)
    assert found((1, ACME, calls(10, 10)), (1, BOLT, nothing)) is Why.ERRORS


def test_streams_without_a_first_byte_have_failed_when_they_are_old_enough() -> None:
    assert found((POLICY.stall_s + 1, ACME, streams(10, 5))) is Why.HANGING
    assert found((POLICY.stall_s, ACME, streams(10, 5))) is None
    assert found((POLICY.stall_s + 1, ACME, streams(10, 6))) is None


def test_plain_calls_that_run_long_are_not_hanging() -> None:
    assert found((POLICY.stall_s + 1, ACME, Counts(started=50))) is None


def test_late_failures_are_seen_in_their_cohort() -> None:
    assert found((POLICY.stall_s + 3, ACME, calls(10, 5))) is Why.HANGING


def test_hanging_streams_of_one_tenant_of_two_open_nothing() -> None:
    age_s = POLICY.stall_s + 2
    assert found((age_s, ACME, streams(90, 0)), (age_s, BOLT, streams(10, 10))) is None
    assert found((age_s, ACME, streams(90, 0)), (age_s, BOLT, streams(10, 5))) is Why.HANGING


def test_nearly_all_streams_slow_to_begin_trip() -> None:
    age_s = POLICY.stall_s + 1
    assert found((age_s, ACME, streams(20, 20, slow=16))) is Why.SLOW
    assert found((age_s, ACME, streams(20, 20, slow=15))) is None
    assert found((age_s, ACME, streams(19, 19, slow=19))) is None


def test_at_low_traffic_five_failures_in_a_row_trip() -> None:
    row = [(2 * n, ACME, calls(1, 1)) for n in range(5)]
    assert found(*row) is Why.IN_A_ROW
    assert found(*row[:4]) is None


def test_five_failures_within_two_seconds_are_not_a_row() -> None:
    assert found((0, ACME, calls(2, 2)), (1, ACME, calls(3, 3))) is None
    assert found((0, ACME, calls(2, 2)), (2, ACME, calls(3, 3))) is Why.IN_A_ROW


def test_a_success_in_between_ends_the_row() -> None:
    row = [(2 * n, ACME, calls(1, 1)) for n in range(4)]
    assert found(*row, (9, ACME, calls(1, 0)), (12, ACME, calls(1, 1))) is None


def test_a_call_that_may_yet_succeed_ends_the_row() -> None:
    row = [(2 * n, ACME, calls(1, 1)) for n in range(4)]
    assert found(*row, (9, ACME, Counts(started=1)), (12, ACME, calls(1, 1))) is None


def test_the_newest_calls_need_not_have_ended() -> None:
    row = [(2 * n + 1, ACME, calls(1, 1)) for n in range(5)]
    assert found((0, ACME, Counts(started=1)), *row) is Why.IN_A_ROW


def test_refused_limits_do_not_end_a_row() -> None:
    row = [(2 * n, ACME, calls(1, 1)) for n in range(5)]
    assert found(*row, (3, ACME, Counts(4, 4, ignored=4))) is Why.IN_A_ROW


def test_hanging_streams_fail_at_low_traffic_too() -> None:
    row = [(POLICY.stall_s + 1 + 10 * n, ACME, streams(1, 0)) for n in range(5)]
    assert found(*row) is Why.IN_A_ROW


def test_a_credential_that_is_refused_three_times_in_a_row_opens() -> None:
    refused = Counts(1, 1, ignored=1, exhausted=1)
    row = [(n, ACME, refused) for n in range(3)]
    assert found(*row) is Why.CREDENTIAL
    assert found(*row[:2], (2, BOLT, calls(1, 0)), (3, ACME, refused)) is None


def test_evidence_from_before_the_ramp_does_not_count() -> None:
    outage = [(n, ACME, calls(20, 20)) for n in range(5)]
    assert found(*outage) is Why.ERRORS
    assert found(*outage, since_s=NOW_S + 1) is None


@pytest.mark.parametrize(
    ("started", "failed", "why"),
    [
        (10, 9, None),
        (10, 10, Why.ERRORS),
        (20, 15, None),
        (20, 16, Why.ERRORS),
        (40, 24, None),
        (40, 25, Why.ERRORS),
        (72, 36, Why.ERRORS),
        (1_000, 499, None),
    ],
)
def test_the_fewer_the_calls_the_more_of_them_must_fail(
    started: int, failed: int, why: Why | None
) -> None:
    assert found((0, ACME, calls(started, failed)), policy=USUAL) is why


def test_a_row_must_be_longer_than_chance_makes_it() -> None:
    row = [(2 * n, ACME, calls(1, 1)) for n in range(10)]
    assert found(*row[:9], policy=USUAL) is None
    assert found(*row, policy=USUAL) is Why.IN_A_ROW
