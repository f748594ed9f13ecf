"""Rows on `breakers`: written by owners, folded by readers, taken up by successors."""

from hypothesis import given
from hypothesis import strategies as st

from headrace.dispatcher.governor.breaker.deployment import DeploymentBreaker, breaker_of
from headrace.dispatcher.governor.breaker.policy import BreakerPolicy
from headrace.schemas.breakers import (
    PAST,
    Row,
    State,
    Transition,
    Why,
    decode,
    encode,
    fold,
    key_of,
)
from headrace.schemas.cohorts import Cell, Counts
from headrace.schemas.names import DeploymentName, Tenant

EAST = DeploymentName("east/3")
POLICY = BreakerPolicy()
T0 = 1_800_000_000_000
OUTAGE = Counts(20, 20, 20)


def row(epoch: int, state: State, since_ms: int = T0) -> Row:
    """A row of EAST."""
    return Row(deployment=EAST, epoch=epoch, state=state, since_ms=since_ms)


def tripped(epoch: int = 1) -> tuple[DeploymentBreaker, Transition]:
    """An owner whose breaker has just opened."""
    owner = DeploymentBreaker(EAST, epoch, POLICY)
    owner.report("d1.1", [Cell(T0 // 1000, Tenant("acme"), OUTAGE)], T0)
    change = owner.tick(T0, 0.5)
    assert change is not None
    return owner, change


def test_the_highest_epoch_counts_whatever_the_order() -> None:
    old, new = row(1, State.OPEN), row(2, State.CLOSED)
    assert fold(fold({}, new), old)[EAST] is new
    assert fold(fold({}, old), new)[EAST] is new


def test_within_an_epoch_the_later_row_counts() -> None:
    first, second = row(1, State.OPEN), row(1, State.HALF_OPEN)
    assert fold(fold({}, first), second)[EAST] is second


def test_history_and_rubbish_leave_the_table_as_it_is() -> None:
    table = fold({}, row(1, State.OPEN))
    _, change = tripped()
    assert fold(table, change) is table
    assert fold(table, decode(b"{")) is table


def test_owners_never_share_a_key() -> None:
    owner, change = tripped()
    keys = {key_of(owner.row(T0)), key_of(change)}
    successor, later = tripped(epoch=2)
    assert keys.isdisjoint({key_of(successor.row(T0)), key_of(later)})


def test_history_is_bounded_by_going_round() -> None:
    keys = {
        key_of(
            Transition(
                deployment=EAST,
                epoch=1,
                number=number,
                at_ms=T0,
                before=State.CLOSED,
                after=State.OPEN,
                why=Why.ERRORS,
            )
        )
        for number in range(3 * PAST)
    }
    assert len(keys) == PAST


def test_a_transition_tells_what_happened_and_why() -> None:
    _, change = tripped()
    assert (change.before, change.after, change.why) == (State.CLOSED, State.OPEN, Why.ERRORS)
    assert (change.figures.calls, change.figures.failed, change.trips) == (20, 20, 1)
    assert decode(encode(change)) == change


def test_a_successor_goes_on_where_the_row_stands() -> None:
    owner, _ = tripped()
    until_ms = owner.breaker.open_until_ms
    owner.tick(until_ms, 0.5)
    owner.lend_probe("d1.1", until_ms)
    told = decode(encode(owner.row(until_ms)))
    assert isinstance(told, Row)
    successor = DeploymentBreaker(EAST, 2, POLICY, told)
    assert successor.breaker == owner.breaker == breaker_of(told)
    expired = successor.tick(until_ms + POLICY.probe_ms, 0.5)
    assert expired is not None
    assert expired.why is Why.PROBE_EXPIRED


@given(
    told=st.lists(
        st.tuples(st.integers(0, 2_000), st.integers(0, 40), st.integers(0, 40)), max_size=40
    ),
    cut=st.integers(0, 40),
)
def test_a_successor_decides_as_its_predecessor_would_have(
    told: list[tuple[int, int, int]], cut: int
) -> None:
    live = DeploymentBreaker(EAST, 1, POLICY)
    heir, now_ms = live, T0
    past: list[tuple[int, Cell]] = []
    for number, (wait_ms, started, failed) in enumerate(told):
        if number == cut:
            heir = DeploymentBreaker(EAST, 2, POLICY, live.row(now_ms))
            for at_ms, cell in past:
                heir.report("d1.1", [cell], at_ms)
        now_ms += wait_ms
        lost = min(started, failed)
        counts = Counts(started, lost, lost)
        past.append((now_ms, Cell(now_ms // 1000, Tenant("acme"), counts)))
        for owner in (live, heir):
            owner.report("d1.1", [past[-1][1]], now_ms)
            owner.tick(now_ms, 0.5)
    assert heir.breaker == live.breaker


def test_the_calls_of_the_outage_do_not_trip_it_again_once_it_ramps() -> None:
    owner = DeploymentBreaker(EAST, 1, POLICY, row(0, State.RAMP, T0))
    owner.breaker = breaker_of(
        Row(deployment=EAST, epoch=0, state=State.RAMP, since_ms=T0, evidence_from_ms=T0)
    )
    owner.report("d1.1", [Cell(T0 // 1000 - 1, Tenant("acme"), OUTAGE)], T0 + 1)
    assert owner.tick(T0 + 1, 0.5) is None


def test_a_disabled_breaker_counts_nothing() -> None:
    owner = DeploymentBreaker(EAST, 1, POLICY)
    owner.order(State.DISABLED, "ann", T0)
    owner.report("d1.1", [Cell(T0 // 1000, Tenant("acme"), OUTAGE)], T0)
    owner.order(State.CLOSED, "ann", T0)
    assert owner.tick(T0 + 1, 0.5) is None


@given(st.binary(max_size=300))
def test_no_bytes_make_reading_fail(value: bytes) -> None:
    assert decode(value) is None or isinstance(decode(value), Row | Transition)


@given(cut=st.integers(0, 200), byte=st.integers(0, 255))
def test_a_damaged_row_is_another_row_or_none(cut: int, byte: int) -> None:
    owner, _ = tripped()
    value = bytearray(encode(owner.row(T0)))
    value[cut % len(value)] = byte
    found = decode(bytes(value))
    assert found is None or isinstance(found, Row | Transition)
