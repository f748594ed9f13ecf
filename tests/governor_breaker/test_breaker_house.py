"""All breakers as their owner runs them: from reports to rows, and from one owner to the next."""

import msgspec

from headrace.dispatcher.governor.breaker.house import CONFIGURED, GONE_MS, House, Order
from headrace.dispatcher.governor.breaker.policy import BreakerPolicy
from headrace.dispatcher.governor.cooldown import Cooldown
from headrace.schemas.breaker_log import BreakerLog
from headrace.schemas.breakers import PAST, ProbeEnd, Row, State, Transition, Why, encode, key_of
from headrace.schemas.cohorts import Cell, Counts
from headrace.schemas.journal import ProcessId, SessionId
from headrace.schemas.limits import NO_SESSION, Epoch, Report
from headrace.schemas.names import DeploymentName, Tenant
from headrace.schemas.outcomes import Calls, Ended, Outcomes
from headrace.schemas.outcomes import encode as encode_outcomes

EAST, WEST = DeploymentName("east"), DeploymentName("west")
NOW_MS = 1_800_000_000_000
POLICIES = {EAST: BreakerPolicy(), WEST: BreakerPolicy()}
HALF = 0.5
"""The dice: no jitter."""


def report(who: str, outcomes: Outcomes) -> Report:
    return Report(
        ProcessId(who),
        SessionId(NO_SESSION),
        1,
        0,
        1_000,
        Epoch(0),
        [],
        outcomes=encode_outcomes(outcomes),
    )


def failures(count: int, now_ms: int, *, streams: int = 0) -> Outcomes:
    counts = Counts(started=count + streams, ended=count, failed=count, streams=streams)
    return Outcomes([Calls(EAST, [Cell(now_ms // 1000, Tenant("a"), counts)])])


def house(rows: dict[DeploymentName, Row] | None = None, usual: State = State.CLOSED) -> House:
    return House(2, POLICIES, rows or {}, usual)


def half_open(one: House) -> int:
    """Fail, open, and wait; returns the time at which probes are lent."""
    one.hear(report("d1", failures(20, NOW_MS)), NOW_MS)
    one.tick(NOW_MS, HALF)
    later_ms = NOW_MS + POLICIES[EAST].open_ms
    _, moved = one.tick(later_ms, HALF)
    assert [transition.after for transition in moved] == [State.HALF_OPEN]
    return later_ms


def lent(rows: list[Row]) -> list[str]:
    """To whom, by the newest row of the deployment that failed."""
    return [probe.holder for row in rows if row.deployment == EAST for probe in row.probes]


def test_a_new_owner_says_each_row_once() -> None:
    one = house()
    rows, moved = one.tick(NOW_MS, HALF)
    assert [(row.deployment, row.epoch, row.state) for row in rows] == [
        (EAST, 2, State.CLOSED),
        (WEST, 2, State.CLOSED),
    ]
    assert moved == []
    assert one.tick(NOW_MS + 250, HALF) == ([], [])
    one.restate()
    assert len(one.tick(NOW_MS + 500, HALF)[0]) == 2


def test_failures_open_one_deployment_and_say_so_at_once() -> None:
    one = house()
    one.tick(NOW_MS, HALF)
    assert one.hear(report("d1", failures(20, NOW_MS)), NOW_MS)
    rows, moved = one.tick(NOW_MS, HALF)
    assert [(row.deployment, row.state, row.why) for row in rows] == [
        (EAST, State.OPEN, Why.ERRORS)
    ]
    assert [(move.number, move.epoch) for move in moved] == [(1, 2)]
    assert (one.share(EAST, NOW_MS), one.share(WEST, NOW_MS)) == (0.0, 1.0)


def test_probes_are_lent_to_those_who_wish_and_never_more_than_three() -> None:
    one = house()
    now_ms = half_open(one)
    assert one.share(EAST, now_ms) == 1.0, "a probe needs credits"
    for who in ("d1", "d2"):
        one.hear(report(who, Outcomes(wants=[EAST])), now_ms)
    assert lent(one.tick(now_ms, HALF)[0]) == ["d1", "d2"]
    for _ in range(3):
        one.hear(report("d1", Outcomes(wants=[EAST])), now_ms)
        rows, _ = one.tick(now_ms, HALF)
    assert rows == []
    one.restate()
    assert lent(one.tick(now_ms, HALF)[0]) == ["d1", "d2", "d1"]


def test_probes_that_passed_begin_the_ramp() -> None:
    one = house()
    now_ms = half_open(one)
    for number in range(1, 4):
        one.hear(report("d1", Outcomes(wants=[EAST])), now_ms)
        one.tick(now_ms, HALF)
        one.hear(report("d1", Outcomes(ends=[Ended(EAST, number, ProbeEnd.PASSED)])), now_ms)
    rows, moved = one.tick(now_ms, HALF)
    assert [move.after for move in moved] == [State.RAMP]
    assert [row.share for row in rows] == [0.1]
    rows, _ = one.tick(now_ms + POLICIES[EAST].ramp_step_ms, HALF)
    assert [row.share for row in rows] == [0.25]


def test_a_probe_whose_holder_was_killed_ends_the_round_by_itself() -> None:
    one = house()
    now_ms = half_open(one)
    one.hear(report("d1", Outcomes(wants=[EAST])), now_ms)
    one.tick(now_ms, HALF)
    _, moved = one.tick(now_ms + POLICIES[EAST].probe_ms, HALF)
    assert [(move.after, move.why) for move in moved] == [(State.OPEN, Why.PROBE_EXPIRED)]


def test_a_wish_is_forgotten_when_it_is_not_repeated() -> None:
    one = house()
    now_ms = half_open(one)
    one.hear(report("d1", Outcomes(wants=[EAST])), now_ms - 2_000)
    assert lent(one.tick(now_ms, HALF)[0]) == []


def test_streams_of_a_killed_dispatcher_do_not_look_as_if_they_hung() -> None:
    def opened(heard_again: bool) -> bool:
        one = house()
        one.hear(report("d1", failures(0, NOW_MS, streams=40)), NOW_MS)
        moved: list[Transition] = []
        for ms in range(0, 45_000, 1_000):
            if heard_again and ms % GONE_MS == 0:
                one.hear(report("d1", failures(0, NOW_MS, streams=40)), NOW_MS + ms)
            moved += one.tick(NOW_MS + ms, HALF)[1]
        return bool(moved)

    assert opened(heard_again=True)
    assert not opened(heard_again=False)


def test_a_successor_goes_on_from_the_row() -> None:
    first = House(1, POLICIES, {}, State.CLOSED)
    first.hear(report("d1", failures(20, NOW_MS)), NOW_MS)
    rows = {row.deployment: row for row in first.tick(NOW_MS, HALF)[0]}
    second = house(rows)
    restated, moved = second.tick(NOW_MS + 3_000, HALF)
    assert moved == []
    assert [(row.epoch, row.open_until_ms) for row in restated if row.deployment == EAST] == [
        (2, rows[EAST].open_until_ms)
    ]


def test_what_the_configuration_asks_for_holds_until_it_asks_for_something_else() -> None:
    counting = house(usual=State.METRICS_ONLY)
    rows, moved = counting.tick(NOW_MS, HALF)
    assert {move.by for move in moved} == {CONFIGURED}
    enforcing = house({row.deployment: row for row in rows})
    rows, _ = enforcing.tick(NOW_MS, HALF)
    assert {row.state for row in rows} == {State.CLOSED}


def test_an_operators_word_holds_until_it_ends() -> None:
    one = house()
    one.orders = {EAST: Order(State.FORCED_OPEN, "ann", NOW_MS)}
    _, moved = one.tick(NOW_MS, HALF)
    assert [(move.after, move.why, move.by) for move in moved] == [
        (State.FORCED_OPEN, Why.OPERATOR, "ann")
    ]
    assert one.tick(NOW_MS + 60_000, HALF) == ([], [])
    one.orders = {}
    _, moved = one.tick(NOW_MS + 61_000, HALF)
    assert [move.after for move in moved] == [State.CLOSED]


def test_a_reset_closes_once_and_not_again_at_each_takeover() -> None:
    one = house()
    one.hear(report("d1", failures(20, NOW_MS)), NOW_MS)
    one.tick(NOW_MS, HALF)
    one.orders = {EAST: Order(None, "ann", NOW_MS + 500)}
    _, moved = one.tick(NOW_MS + 1_000, HALF)
    assert [(move.after, move.by) for move in moved] == [(State.CLOSED, "ann")]
    later_ms = NOW_MS + 10_000
    one.hear(report("d1", failures(20, later_ms)), later_ms)
    rows, moved = one.tick(later_ms, HALF)
    assert [move.after for move in moved] == [State.OPEN]
    successor = House(3, POLICIES, {row.deployment: row for row in rows}, State.CLOSED)
    successor.orders = one.orders
    assert successor.tick(later_ms, HALF)[1] == []


def test_a_row_tells_of_a_new_rest_once() -> None:
    rests = {EAST: Cooldown()}
    one = house()
    one.rests = lambda name: rests.get(name, Cooldown())
    one.tick(NOW_MS, HALF)
    rests[EAST] = Cooldown(NOW_MS, NOW_MS + 5_000, 1)
    ((row,), moved) = one.tick(NOW_MS, HALF)
    assert (row.rest_began_ms, row.rest_until_ms, row.rest_times) == (NOW_MS, NOW_MS + 5_000, 1)
    assert (row.state, moved) == (State.CLOSED, [])
    assert one.tick(NOW_MS + 100, HALF)[0] == []


def test_what_cannot_be_read_in_a_report_changes_nothing() -> None:
    damaged = msgspec.structs.replace(report("d1", Outcomes()), outcomes=msgspec.Raw(b'[["x"]]'))
    assert house().hear(damaged, NOW_MS) is None


def test_a_topic_is_folded_by_epoch_and_left_small_by_each_owner() -> None:
    log = BreakerLog()
    for epoch in (1, 3, 2):
        row = Row(deployment=EAST, epoch=epoch, state=State.CLOSED, since_ms=epoch)
        log.take(key_of(row), encode(row))
    for number in range(PAST + 2):
        past = Transition(
            deployment=EAST,
            epoch=1 + number // PAST,
            number=number,
            at_ms=number,
            before=State.CLOSED,
            after=State.OPEN,
            why=Why.ERRORS,
        )
        log.take(key_of(past), encode(past))
    assert log.rows[EAST].epoch == log.epoch == 3
    outdated = log.outdated(3)
    assert sorted(outdated) == [b"past/1/0/east", b"past/1/1/east", b"row/1/east", b"row/2/east"]
    for key in outdated:
        log.take(key, None)
    assert (len(log.history(EAST)), log.outdated(3)) == (PAST, [])
    assert log.take(b"row/9/east", b"garbage") is None
