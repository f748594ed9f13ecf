"""What `make bench-governor` reads from logs and topics, without any process."""

from benchmarks.governor.outage import rounds_of
from benchmarks.governor.spans import Spans, Taken
from benchmarks.governor.watch import Watch
from headrace.schemas.breakers import State, Transition, Why
from headrace.schemas.journal import ProcessId, SessionId
from headrace.schemas.limits import (
    Beat,
    Claim,
    End,
    Epoch,
    Flow,
    FlowGrant,
    Grants,
    SessionGrant,
    Units,
    encode,
)
from headrace.schemas.names import DeploymentName, LaneName, Tenant

FLOW = Flow(DeploymentName("d"), LaneName("standard"), Tenant("ann"))
SESSION = SessionId("d-1.1")


def grants(epoch: int, requests: int) -> bytes:
    flow = FlowGrant(FLOW, Units(requests))
    return encode(Grants(Epoch(epoch), [SessionGrant(SESSION, 0, 10_000, [flow])]))


def test_a_call_counts_in_windows_that_end_less_than_a_minute_after_it() -> None:
    assert Spans([Taken(0, 3), Taken(59_999, 4)]).most() == 7
    assert Spans([Taken(0, 3), Taken(60_000, 4)]).most() == 4
    assert Spans([]).most() == 0


def test_the_mean_is_of_all_windows_that_lie_within_the_time() -> None:
    spans = Spans([Taken(at, 1) for at in range(0, 120_000, 1_000)])
    assert spans.mean(0, 120_000) == 60
    assert spans.mean(0, 59_999) == 0
    assert Spans([Taken(0, 10)]).mean(0, 60_100) == 5


def test_only_a_grant_of_more_than_before_is_new() -> None:
    watch = Watch()
    for at, value in ((1, grants(1, 5)), (2, grants(1, 5)), (3, grants(2, 5)), (4, grants(2, 6))):
        watch.take_grant(at, value)
    assert watch.first_given(0, Epoch(0)) == 1
    assert watch.first_given(0, Epoch(1)) == 4
    assert watch.first_given(5, Epoch(1)) is None


def test_owners_and_ends_with_credits_in_hand_are_found() -> None:
    watch = Watch()
    watch.take_grant(1, encode(Claim(Epoch(3), ProcessId("g"))))
    watch.take_grant(2, encode(Beat(Epoch(3), 1)))
    watch.take_grant(3, encode(End(Epoch(3), SESSION, 3)))
    watch.take_grant(4, encode(End(Epoch(3), SESSION, 4, [(FLOW, Units(2))])))
    assert watch.epoch == 3
    found = watch.ended(0)
    assert found is not None
    assert found[0] == 4
    assert watch.per_s(0, 1_000) == 4


def test_probes_are_the_calls_while_a_breaker_is_half_open() -> None:
    def move(number: int, before: State, after: State) -> Transition:
        name = DeploymentName("d")
        return Transition(
            deployment=name,
            epoch=1,
            number=number,
            at_ms=0,
            before=before,
            after=after,
            why=Why.WAITED,
        )

    moves = [
        (10, move(1, State.CLOSED, State.OPEN)),
        (20, move(2, State.OPEN, State.HALF_OPEN)),
        (30, move(3, State.HALF_OPEN, State.OPEN)),
        (40, move(4, State.OPEN, State.HALF_OPEN)),
        (50, move(5, State.HALF_OPEN, State.RAMP)),
    ]
    assert rounds_of(moves, [5, 12, 21, 22, 31, 49, 50]) == [[21, 22], [49]]
