"""Enqueue: the records of this process on their way into Kafka.

The sync path does not await the ack. Each record stays in `_unacked`, oldest first, until its ack
comes; a failed or overdue ack fails the waiter with a 503. A record whose fate is then unknown may
still have been written: the caller has it cancelled (`cancels`).
"""

import asyncio
from asyncio import Future, Task
from collections.abc import Callable

from aiokafka.errors import KafkaError, MessageSizeTooLargeError, RecordListTooLargeError
from aiokafka.structs import RecordMetadata

from headrace.ingress.board import ReplyBoard
from headrace.ingress.kafka.connect import AWAY, trouble_of
from headrace.ingress.kafka.producer import BATCH_BYTES, Producer
from headrace.ingress.refusal import Refusal
from headrace.ingress.waiter import Waiter
from headrace.schemas import records
from headrace.schemas.clock import BrokerClock
from headrace.schemas.config.model import Config
from headrace.schemas.errors import Code
from headrace.schemas.names import LaneName, RequestId
from headrace.schemas.records import RequestRecord
from headrace.schemas.topics import Topics, lane_place

COMPRESS_BYTES = 512 * 1024
HEADER_BYTES = 1024
"""What headers and framing add to a body, roughly and rather more."""
MAX_UNACKED_BYTES = 64 * 1024 * 1024
"""Records handed to the producers and not yet acked; beyond it new requests get 429."""
PAUSE_S = 0.5
"""Between two sweeps: this process stood still itself, and acks that came meanwhile are still to be read."""
LOG_APPEND_TIME = 1
"""The ack's timestamp is the broker's, and not our own clock's."""

_TOO_LARGE = Refusal(Code.RECORD_TOO_LARGE, "The request is larger than a record may be.")
FULL = Refusal(Code.QUEUE_FULL, "Too much is on its way to Kafka.", retry_after_s=1)


class _Sending:
    """A record without its ack."""

    __slots__ = ("_outbox", "overdue", "sent_at", "size", "task", "told", "waiter")

    def __init__(
        self,
        outbox: "Outbox",
        waiter: Waiter,
        record: RequestRecord,
        sent_at: float,
        told: Callable[[], None] | None,
    ) -> None:
        self._outbox = outbox
        self.waiter = waiter
        self.told = told
        self.size = len(record.body) + HEADER_BYTES
        self.sent_at = sent_at
        self.task: Task[object] | None = None
        """The task that is inside `send`, where that may wait for long: only a full batch makes it do so."""
        self.overdue = False

    def acked(self, ack: "Future[RecordMetadata]") -> None:
        """The done callback of the ack: it came, or will never come."""
        self._outbox.settle(self, ack)


class Outbox:
    """Sends requests through the producers that `Link` gives it."""

    def __init__(
        self,
        config: Config,
        source: bytes,
        board: ReplyBoard,
        clock: BrokerClock,
        monotonic: Callable[[], float],
    ) -> None:
        names = Topics(config.kafka.topic_prefix)
        self.lane_topics = {lane: names.requests(lane) for lane in config.lanes}
        # Well below the grace: what the client is promised includes noticing and answering.
        self._grace_s = config.ingress.kafka_grace_s * 0.8
        self._source = source
        self._board = board
        self._clock = clock
        self._monotonic = monotonic
        self._places: dict[LaneName, tuple[str, int]] = {}
        self._small: Producer | None = None
        self._large: Callable[[], Producer | None] = lambda: None
        self._unacked: dict[RequestId, _Sending] = {}
        self._unacked_bytes = 0
        self._last_ack_at = 0.0
        self._swept_at = 0.0
        self.refused: Refusal | None = None
        """Why Kafka refused a record for good, for `Link` to look into."""

    def connect(self, small: Producer, large: Callable[[], Producer | None]) -> None:
        """Send through `small`, and long bodies through what `large` returns, if anything."""
        self._places = {
            lane: (topic, small.partitions_of(topic)) for lane, topic in self.lane_topics.items()
        }
        self._small = small
        self._large = large
        self.refused = None

    def disconnect(self) -> None:
        """Send nothing more until the next `connect`."""
        self._small = None

    async def enqueue(
        self, record: RequestRecord, waiter: Waiter, told: Callable[[], None] | None = None
    ) -> Refusal | None:
        """Hand the record over; its waiter learns of a missing ack, `told` is called with the ack.

        The producer has copied the body then, and `record` lets go of it: its client may wait for
        minutes. A refusal: nothing was written, and the body is still there.
        """
        small = self._small
        if small is None:
            return AWAY
        if self._unacked_bytes >= MAX_UNACKED_BYTES:
            return FULL
        producer = small if len(record.body) <= COMPRESS_BYTES else self._large() or small
        topic, partitions = self._places[record.lane]
        key, partition = lane_place(record.tenant, record.id, partitions)
        sending = _Sending(self, waiter, record, self._monotonic(), told)
        self._unacked[record.id] = sending
        self._unacked_bytes += sending.size
        if self._unacked_bytes >= BATCH_BYTES:
            sending.task = asyncio.current_task()
        try:
            ack = await producer.send(
                topic,
                record.body,
                key=key,
                partition=partition,
                headers=records.encode(record, self._source),
            )
        except (MessageSizeTooLargeError, RecordListTooLargeError):
            self._forget(sending)
            return _TOO_LARGE
        except KafkaError as error:
            self._forget(sending)
            return self._refuse(error)
        except asyncio.CancelledError:
            self._forget(sending)
            if sending.overdue and sending.task is not None and sending.task.uncancel() == 0:
                return AWAY
            raise
        sending.task = None
        record.body = b""
        ack.add_done_callback(sending.acked)
        return None

    def settle(self, sending: _Sending, ack: "Future[RecordMetadata]") -> None:
        """An ack came, or will never come."""
        self._forget(sending)
        error = ack.exception()
        if error is None:
            now = self._monotonic()
            self._last_ack_at = now
            written = ack.result()
            if written.timestamp_type == LOG_APPEND_TIME and written.timestamp is not None:
                self._clock.observe(written.timestamp, now * 1000)
            if sending.told is not None:
                sending.told()
        elif not sending.waiter.settled:
            self._board.fail(sending.waiter, self._refuse(error))

    def sweep(self, now: float) -> bool:
        """Fail the waiters whose ack is overdue. True if Kafka acks nothing at all any more.

        Called a few times a second; the first call after a pause only notes the time.
        """
        stuck = False
        paused, self._swept_at = now - self._swept_at >= PAUSE_S, now
        if paused:
            return stuck
        for sending in self._unacked.values():
            if now - sending.sent_at < self._grace_s:
                break
            stuck = stuck or self._last_ack_at < sending.sent_at
            if sending.overdue:
                continue
            sending.overdue = True
            if sending.task is not None:
                sending.task.cancel()
            else:
                self._board.fail(sending.waiter, AWAY)
        return stuck

    def _forget(self, sending: _Sending) -> None:
        if self._unacked.pop(sending.waiter.id, None) is not None:
            self._unacked_bytes -= sending.size

    def _refuse(self, error: BaseException) -> Refusal:
        refusal = trouble_of(error)
        if refusal is not AWAY:
            self.refused = refusal
        return refusal
