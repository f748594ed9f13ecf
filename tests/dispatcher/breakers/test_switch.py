"""What one process may send to a deployment, by the owner's row and by what it saw itself."""

import pytest

from headrace.dispatcher.breakers.switch import FORCED_MS, LOCAL, SILENT_MS, SPOKEN_MS, Switch
from headrace.dispatcher.governor.breaker.policy import BreakerPolicy
from headrace.dispatcher.governor.effects import BreakerEffect
from headrace.dispatcher.ports import CallEnd
from headrace.schemas.breakers import Probe, ProbeEnd, Row, State
from headrace.schemas.journal import ProcessId
from headrace.schemas.names import DeploymentName, RequestId

OWN, OTHER = ProcessId("own"), ProcessId("other")
EAST = DeploymentName("east")
NOW_MS = 1_800_000_000_000
POLICY = BreakerPolicy()
RAMP_MS = len(POLICY.ramp) * POLICY.ramp_step_ms
REQUESTS = [RequestId(f"r-{number}") for number in range(2_000)]
FAILED, GOOD = CallEnd(status=503), CallEnd(status=200)


def switch(state: State = State.CLOSED, **more: object) -> Switch:
    """With a row of the present."""
    one = Switch(EAST, OWN, POLICY, enforced=True)
    fields = {"deployment": EAST, "epoch": 1, "state": state, "since_ms": NOW_MS} | more
    one.obey(Row(**fields), NOW_MS)  # type: ignore[arg-type]  # a test names what it needs
    return one


def let(one: Switch, now_ms: int = NOW_MS) -> float:
    """The share of many requests that may be sent."""
    return sum(one.lets(request, now_ms) for request in REQUESTS) / len(REQUESTS)


def fail(one: Switch, count: int) -> None:
    for _ in range(count):
        one.sent(NOW_MS)
        one.ended(FAILED, BreakerEffect.FAILURE, NOW_MS, NOW_MS)


@pytest.mark.parametrize(
    "state", [State.CLOSED, State.FORCED_CLOSED, State.METRICS_ONLY, State.DISABLED]
)
def test_everything_passes_where_nothing_is_refused(state: State) -> None:
    assert let(switch(state)) == 1
    assert not switch(state).refuses_some(NOW_MS)


def test_nothing_passes_an_open_one_for_twice_as_long_as_it_was_to_last() -> None:
    one = switch(State.OPEN, open_until_ms=NOW_MS + 15_000, share=0.0)
    assert one.until_ms(NOW_MS) == NOW_MS + 15_000
    assert let(one, NOW_MS + 29_999) == 0
    # Nobody has written what comes then: no owner lives.
    assert 0 < let(one, NOW_MS + 30_000) < 0.2
    assert let(one, NOW_MS + 30_000 + RAMP_MS) == 1


def test_what_an_operator_has_opened_stays_so() -> None:
    one = switch(State.FORCED_OPEN, share=0.0)
    assert let(one, NOW_MS + 86_400_000) == 0
    assert one.until_ms(NOW_MS) == NOW_MS + FORCED_MS


def test_a_ramp_lets_the_same_share_of_requests_pass_each_time() -> None:
    tenth, half = switch(State.RAMP, share=0.1), switch(State.RAMP, share=0.5)
    assert let(tenth) == pytest.approx(0.1, abs=0.03)
    assert let(half) == pytest.approx(0.5, abs=0.05)
    assert all(half.lets(one, NOW_MS) for one in REQUESTS if tenth.lets(one, NOW_MS))


def test_a_ramp_without_an_owner_ends_at_twice_its_length() -> None:
    one = switch(State.RAMP, share=0.1)
    assert let(one, NOW_MS + 2 * RAMP_MS - 1) < 0.2
    assert let(one, NOW_MS + 2 * RAMP_MS) == 1


def test_a_half_open_one_lets_a_request_pass_with_a_probe_of_its_own() -> None:
    later_ms = NOW_MS + 60_000
    one = switch(State.HALF_OPEN, probes=(Probe(1, OTHER, later_ms), Probe(2, OWN, later_ms)))
    probe = one.probe(NOW_MS)
    assert probe is not None
    assert probe.number == 2
    one.use(probe)
    assert not one.lets_any(NOW_MS)
    assert not one.wishes(NOW_MS + 10_000)


def test_a_wish_is_told_while_a_request_waits_for_a_probe() -> None:
    one = switch(State.HALF_OPEN)
    assert not one.wishes(NOW_MS)
    assert not one.lets_any(NOW_MS)
    assert one.wishes(NOW_MS + 100)


def test_a_wish_that_nobody_hears_opens_the_way() -> None:
    one = switch(State.HALF_OPEN)
    for ms in range(0, SILENT_MS, 500):
        assert not one.lets_any(NOW_MS + ms)
    assert one.lets_any(NOW_MS + SILENT_MS)


def test_an_old_half_open_one_without_requests_waits_for_its_probe() -> None:
    one = switch(State.HALF_OPEN)
    assert not one.lets_any(NOW_MS + 86_400_000)


def test_a_probe_that_nobody_used_is_given_back_and_told_until_the_row_shows_it() -> None:
    one = switch(State.HALF_OPEN, probes=(Probe(7, OWN, NOW_MS + 60_000),))
    assert not one.renounce_idle(NOW_MS + 1_000)
    assert one.renounce_idle(NOW_MS + 2_000)
    assert one.ends == {7: ProbeEnd.RENOUNCED}
    assert one.probe(NOW_MS + 2_000) is None
    one.obey(Row(deployment=EAST, epoch=1, state=State.HALF_OPEN, since_ms=NOW_MS), NOW_MS)
    assert one.ends == {}


def test_calls_that_have_not_ended_prove_nothing() -> None:
    one = switch()
    fail(one, 2)
    for _ in range(20):
        one.sent(NOW_MS)
    assert one.unproven(NOW_MS)


def test_calls_of_before_the_first_failure_prove_nothing() -> None:
    one = switch()
    fail(one, LOCAL.failures)
    one.ended(GOOD, BreakerEffect.SUCCESS, NOW_MS - 60_000, NOW_MS)
    assert one.failing(NOW_MS)
    assert one.unproven(NOW_MS)
    one.ended(GOOD, BreakerEffect.SUCCESS, NOW_MS + 1, NOW_MS + 1)
    assert not one.failing(NOW_MS + 1)
    assert not one.unproven(NOW_MS)


def test_a_process_that_sees_nothing_but_failures_calls_seldom_until_the_owner_must_have_spoken() -> (
    None
):
    one = switch()
    fail(one, 4)
    assert let(one) == 1
    assert not one.failing(NOW_MS)
    assert one.outage(NOW_MS, own=2)
    assert not one.outage(NOW_MS, own=3), "nobody but the request itself may have failed"
    fail(one, 1)
    assert let(one, NOW_MS + LOCAL.refuse_ms - 1) == 0
    assert let(one, NOW_MS + LOCAL.refuse_ms) == 1
    assert one.outage(NOW_MS + SPOKEN_MS - 1, own=1)
    assert not one.outage(NOW_MS + SPOKEN_MS, own=1)
    one.ended(GOOD, BreakerEffect.SUCCESS, NOW_MS, NOW_MS)
    assert not one.outage(NOW_MS, own=1)
    assert let(one) == 1
    assert switch(State.OPEN).outage(NOW_MS, own=1)


def test_each_failure_renews_what_a_process_knows_while_it_holds_back() -> None:
    one = switch()
    fail(one, LOCAL.failures)
    one.ended(FAILED, BreakerEffect.FAILURE, NOW_MS, NOW_MS + SPOKEN_MS - 1)
    assert one.failing(NOW_MS + 2 * SPOKEN_MS - 2)
    assert one.trips == 1
    one.ended(FAILED, BreakerEffect.FAILURE, NOW_MS, NOW_MS + 2 * SPOKEN_MS)
    assert not one.failing(NOW_MS + 2 * SPOKEN_MS)


@pytest.mark.parametrize("state", [State.FORCED_CLOSED, State.METRICS_ONLY])
def test_nothing_is_refused_that_an_operator_lets_pass(state: State) -> None:
    one = switch(state)
    fail(one, 5)
    assert let(one) == 1


@pytest.mark.parametrize("state", [State.CLOSED, State.METRICS_ONLY, State.DISABLED])
def test_a_deployment_that_rests_is_let_alone_in_any_state_and_then_begun_slowly(
    state: State,
) -> None:
    until_ms = NOW_MS + 5_000
    one = switch(state, rest_began_ms=NOW_MS, rest_until_ms=until_ms, rest_times=1)
    assert one.refuses_some(NOW_MS)
    assert one.until_ms(NOW_MS) == until_ms
    assert not one.lets_any(until_ms - 1)
    shares = [let(one, until_ms + 1_000 * second) for second in range(4)]
    assert shares == sorted(shares)
    assert 0 < shares[0] < 0.2
    assert shares[-1] == 1
    assert not one.refuses_some(until_ms + 3_000)


def test_no_probe_is_sent_to_one_that_rests() -> None:
    probe = Probe(1, OWN, NOW_MS + 30_000)
    rest = {"rest_began_ms": NOW_MS, "rest_until_ms": NOW_MS + 5_000, "rest_times": 1}
    one = switch(State.HALF_OPEN, probes=(probe,), issued=1, share=0.0, **rest)
    assert let(one) == 0
    assert let(one, NOW_MS + 5_000) == 1
