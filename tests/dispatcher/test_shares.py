"""Free seats of one process, among tenants of which some have used up their own limits."""

from headrace.dispatcher.passed import PASSED_MS, REST_MS
from headrace.schemas.limits import Flow
from headrace.schemas.names import DeploymentName
from support.limits import flow
from support.spender import Process


def one_seat_for_four() -> tuple[Process, list[Flow], list[Flow]]:
    """Two tenants have used up their own limits and wait, so do two others, and one seat of four is free."""
    process = Process(seats=4, local=4)
    held, others = [flow("a"), flow("b")], [flow("c"), flow("d")]
    process.queue(1, of=held[0])
    process.queue(2, of=held[1])
    process.step()
    for promise in process.dispatch():
        assert process.spend(promise)
    process.bench.owner.hold(lambda of, _: of in held)
    for one in held:
        process.queue(3, of=one)
    for one in others:
        process.queue(99, of=one)
    return process, held, others


def test_tenants_within_their_limits_come_after_one_look_at_each_that_is_not() -> None:
    process, held, others = one_seat_for_four()
    first = process.serve(len(held) * (PASSED_MS + 100) + 300)
    assert {one.flow for one in first} <= set(others)
    assert first
    later = process.serve(20_000)
    assert {one.flow for one in later} == set(others)
    assert len(later) >= 0.75 * 20_000 / 100


def test_who_was_passed_over_has_its_turn_again() -> None:
    process, held, _ = one_seat_for_four()
    process.serve(5_000)
    process.bench.owner.hold(lambda *_: False)
    served = process.serve(len(held) * (REST_MS + PASSED_MS))
    assert {one.flow for one in served} >= set(held)


def test_a_tenant_whose_call_ends_has_its_place_again() -> None:
    process = Process(seats=2, local=2)
    own, other = flow("own"), flow("other")
    process.queue(1, of=own)
    process.step()
    (running,) = process.dispatch()
    assert process.spend(running)
    process.bench.owner.hold(lambda of, _: of == own)
    process.queue(3, of=own)
    process.queue(99, of=other)
    assert own not in {one.flow for one in process.serve(2 * PASSED_MS)}
    process.bench.owner.hold(lambda *_: False)
    process.close(running)
    process.seats.take(DeploymentName("d"))
    assert own in {one.flow for one in process.serve(PASSED_MS)}
