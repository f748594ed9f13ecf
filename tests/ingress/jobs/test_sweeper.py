"""When a replica ends what is overdue: each at a random moment, all at once when there is too much."""

from typing import cast

from headrace.ingress.index import Index, Row
from headrace.ingress.index.row import Pieces
from headrace.ingress.jobs.ledger import Ledger
from headrace.ingress.jobs.sweeper import AT_ONCE, SPREAD_S, Sweeper
from headrace.ingress.refusal import Refusal
from headrace.schemas.names import Endpoint, Kind, LaneName, ModelName, Outcome, RequestId, Tenant
from headrace.schemas.status import By, Queued
from headrace.telemetry.logs import get_log


def overdue(number: int) -> Row:
    queued = Queued(
        tenant=Tenant("t"), id=RequestId(str(number)), kind=Kind.JOB, model=ModelName("m"),
        lane=LaneName("l"), endpoint=Endpoint.CHAT, stream=False, accepted_ms=0, deadline_ms=1,
        reply_partition=0,
    )  # fmt: skip
    row = Pieces(queued=queued).row()
    assert row is not None
    return row


class Overdue:
    """The overdue requests of an index, and the ledger that ends them."""

    ready = True

    def __init__(self, count: int) -> None:
        self.rows = [overdue(number) for number in range(count)]
        self.ended: list[str] = []
        self.now = 0.0

    def due(self, _: int, limit: int) -> list[Row]:
        """Of `Index`."""
        return [row for row in self.rows if row.id not in self.ended][:limit]

    async def end(self, row: Row, outcome: Outcome, by: By) -> Refusal | None:
        """Of `Ledger`."""
        assert (outcome, by) == (Outcome.EXPIRED, "sweeper")
        self.ended.append(row.id)
        return None

    def sweeper(self, roll: float) -> Sweeper:
        """One that rolls always the same."""
        return Sweeper(
            cast("Index", self), cast("Ledger", self), lambda: 0, lambda: self.now, lambda: roll, get_log()
        )  # fmt: skip


async def test_a_replica_waits_for_its_random_turn() -> None:
    world = Overdue(3)
    sweeper = world.sweeper(0.5)
    assert await sweeper.sweep() == 0
    world.now = SPREAD_S / 2
    assert await sweeper.sweep() == 3
    assert await sweeper.sweep() == 0


async def test_what_another_replica_has_ended_meanwhile_is_left_alone() -> None:
    world = Overdue(2)
    sweeper = world.sweeper(0.5)
    await sweeper.sweep()
    world.rows.pop()
    world.now = SPREAD_S
    assert await sweeper.sweep() == 1


async def test_with_too_much_overdue_nobody_waits_and_each_turn_is_bounded() -> None:
    world = Overdue(AT_ONCE + 1)
    sweeper = world.sweeper(1.0)
    assert await sweeper.sweep() == AT_ONCE
    assert len(world.ended) == AT_ONCE
