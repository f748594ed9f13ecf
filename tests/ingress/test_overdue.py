"""Records whose ack does not come."""

import asyncio
from typing import Any

from headrace.ingress.board import ReplyBoard
from headrace.ingress.kafka.outbox import PAUSE_S, Outbox
from headrace.ingress.waiter import Waiter
from headrace.schemas.clock import BrokerClock
from headrace.schemas.errors import Code
from headrace.schemas.names import LaneName, RequestId, Tenant
from headrace.schemas.records import RequestRecord
from support.board import POLICY, RecordingParty, failed
from support.serving import ingress_config

GRACE_S = 2.0
SENT_AT = 100.0


class SilentProducer:
    """Takes records; no ack ever comes."""

    def partitions_of(self, topic: str) -> int:
        """Of `Producer`."""
        return 1

    async def send(self, *_: Any, **__: Any) -> "asyncio.Future[Any]":
        """Of `Producer`."""
        return asyncio.get_running_loop().create_future()


async def sent() -> tuple[Outbox, Waiter]:
    """An outbox with one record that was handed over at `SENT_AT`, and the waiter of its answer."""
    config = ingress_config("127.0.0.1:1", "x.", ingress={"kafka_grace_s": GRACE_S})
    board = ReplyBoard(POLICY)
    outbox = Outbox(config, b"i", board, BrokerClock(0.0), lambda: SENT_AT)
    silent: Any = SilentProducer()
    outbox.connect(silent, lambda: None)
    waiter = Waiter(RequestId("r"), False, RecordingParty(), SENT_AT, SENT_AT + 60, SENT_AT + 60)
    board.expect(waiter)
    record = RequestRecord(
        id=waiter.id, body=b"{}", tenant=Tenant("ann"), lane=LaneName("standard")
    )
    assert await outbox.enqueue(record, waiter) is None
    outbox.sweep(SENT_AT)
    return outbox, waiter


async def test_a_record_without_its_ack_fails_its_waiter_in_time() -> None:
    outbox, waiter = await sent()
    now = SENT_AT
    while not waiter.settled and now < SENT_AT + GRACE_S:
        now += PAUSE_S / 5
        stuck = outbox.sweep(now)
    assert failed(waiter) is Code.KAFKA_UNAVAILABLE
    assert stuck


async def test_a_pause_of_the_process_itself_is_no_absence_of_kafka() -> None:
    outbox, waiter = await sent()
    thawed_at = SENT_AT + 10 * GRACE_S
    assert not outbox.sweep(thawed_at)
    assert not waiter.settled
    assert outbox.sweep(thawed_at + PAUSE_S / 5)
    assert failed(waiter) is Code.KAFKA_UNAVAILABLE
