"""Settle: write outcomes where they belong, and only then call an offset done (P4).

Every method returns once Kafka has acknowledged what it wrote with `acks=all` and the journal has been
told; a crash before leaves the offset to the next owner.
"""

from collections.abc import Callable

from headrace.dispatcher import rows
from headrace.dispatcher.delays import tier_for
from headrace.dispatcher.intake import Unreadable, lost_attempt
from headrace.dispatcher.kafka.events import Events
from headrace.dispatcher.kafka.journals import JournalWriter
from headrace.dispatcher.kafka.letters import Letters
from headrace.dispatcher.kafka.outbox import Outbox, Undeliverable
from headrace.dispatcher.kafka.replies import Replies, ReplyStream
from headrace.dispatcher.kafka.states import States
from headrace.dispatcher.metrics import Metrics
from headrace.dispatcher.outcome import Ending, event, of_error, queue_ms, reply_of, undeliverable
from headrace.dispatcher.source_record import SourceRecord
from headrace.dispatcher.story import Story
from headrace.dispatcher.tenure import Tenure
from headrace.dispatcher.verdicts import Reason
from headrace.dispatcher.waiting import Waiting
from headrace.schemas.errors import Code
from headrace.schemas.letters import attempts_of
from headrace.schemas.names import DeploymentName, Outcome, RequestId
from headrace.schemas.records import Headers
from headrace.schemas.retries import dead_letter_headers, retry_headers
from headrace.schemas.topics import Topics
from headrace.telemetry.logs import Log

STREAMED = 200
"""The status of an answer that begins with its chunks; any other one takes their place."""


class Settlement:
    """Where requests end. One per process."""

    def __init__(
        self,
        *,
        topics: Topics,
        outbox: Outbox,
        bulk: Outbox,
        replies: Replies,
        states: States,
        events: Events,
        journals: JournalWriter,
        metrics: Metrics,
        ended: Callable[[Waiting], None],
        story: Story,
        log: Log,
    ) -> None:
        """`ended` is told of the end of a request of which a copy is parked."""
        self._ended = ended
        self._states = states
        self._events = events
        self._topics = topics
        self._letters = Letters(
            topics.dead_letters, outbox=outbox, bulk=bulk, metrics=metrics, log=log
        )
        self._replies = replies
        self._journals = journals
        self._metrics = metrics
        self._story = story
        self._log = log

    def begin(self, waiting: Waiting) -> None:
        """Say in the journal that this session ends a request without a call, before it does.

        A later owner must know that, or both would.
        """
        if not waiting.started:
            waiting.started = True
            self._journals.started(waiting.tenure, waiting.offset, 1 - waiting.attempt)

    def begin_rejection(self, tenure: Tenure, record: SourceRecord) -> None:
        """As `begin`, for a record that cannot be read."""
        self._journals.started(tenure, record.offset, 0)

    def running(self, waiting: Waiting, deployment: DeploymentName) -> None:
        """Tell of an attempt of a request with a kind, in passing."""
        self._states.running(rows.running(waiting, deployment, self._replies.source))

    def lasting(self, waiting: Waiting, deployment: DeploymentName, stream: ReplyStream) -> None:
        """A request with a kind streams: its answer is kept whole, its chunks leave on `replies`.

        An answer that goes to a producer's own topic is all there, and stays as it is.
        """
        address, attempt = waiting.record.reply, waiting.attempt
        if address is None or address.topic != self._topics.results:
            return

        def tell(partition: int, offset: int) -> None:
            if waiting.attempt == attempt:
                source = self._replies.source
                row = rows.running(waiting, deployment, source, (partition, offset))
                self._states.running(row)

        stream.outlast(self._topics.replies, tell)

    async def answer(
        self,
        waiting: Waiting,
        ending: Ending,
        *,
        stream: ReplyStream | None = None,
        call_ms: int = 0,
    ) -> None:
        """Tell whoever waits, then the accounts, then the journal. The chunks of `stream` are acked."""
        place: tuple[int, int, int] | None = None
        told = ending
        try:
            place = await self._tell(waiting, ending, stream)
        except Undeliverable as error:
            await self._letters.bury(waiting, Reason.REPLY_UNDELIVERABLE, str(error))
            told = undeliverable(ending)
        if waiting.record.kind is not None:
            await self._states.ended(rows.terminal(waiting, told, place))
        self._account(waiting, ending, call_ms)
        self._done(waiting, ending.outcome.value)

    async def retry(self, waiting: Waiting, *, due_ms: int, now_ms: int, attempt: int) -> None:
        """Hand over to a delay topic: `attempt` runs at `due_ms`. Left alone if it is not ours any more.

        A successor must know that this session had it, or it would not look for the delay record.
        """
        if not waiting.ours:
            self._journals.give_up(waiting.tenure, waiting.offset)
            return
        self.begin(waiting)
        if not await self._journals.confirmed(waiting.tenure):
            self._journals.give_up(waiting.tenure, waiting.offset)
            return
        topic = self._topics.delay(waiting.lane, tier_for(due_ms - now_ms))
        headers = retry_headers(
            waiting.headers,
            waiting.source,
            attempt=attempt,
            due_ms=due_ms,
            history=waiting.history,
            handed_on_from=waiting.origin.encode(),
            parked_from=b"" if waiting.parked is None else waiting.parked.encode(),
        )
        try:
            await self.keep(topic, waiting.record.body, waiting.id, headers)
        except Undeliverable as error:
            await self._too_large(waiting, str(error))
        else:
            self._done(waiting, "delayed")

    def abandon(self, waiting: Waiting) -> None:
        """Give up what this process has begun, since others may have taken it for dead."""
        self._journals.give_up(waiting.tenure, waiting.offset)

    async def dead_letter(
        self, waiting: Waiting, reason: Reason, message: str, ending: Ending, *, call_ms: int = 0
    ) -> None:
        """Keep the record, and give its owner the terminal answer all the same."""
        await self._letters.bury(waiting, reason, message)
        await self.answer(waiting, ending, call_ms=call_ms)

    async def undeliverable(self, waiting: Waiting) -> None:
        """A request whose answer has nowhere to go: kept with that reason, never called."""
        reason = Reason.REPLY_UNDELIVERABLE
        message = "the reply topic or partition does not exist, or is one of Headrace's own"
        self.begin(waiting)
        await self._letters.bury(waiting, reason, message)
        ending = of_error(Outcome.DEAD_LETTERED, Code.UNPROCESSABLE_RECORD, message)
        if waiting.record.kind is not None:
            await self._states.ended(rows.terminal(waiting, ending, None))
        self._account(waiting, ending, 0)
        self._done(waiting, ending.outcome.value)

    async def reject(self, tenure: Tenure, record: SourceRecord, unreadable: Unreadable) -> None:
        """A record that cannot be read: dead letter, an answer if it has an address, and on."""
        # On a lane these headers would be the producer's own.
        history = attempts_of(record.headers) if tenure.delay_ms else ()
        if unreadable.lost:
            history = (*history, lost_attempt(unreadable.lost, record.timestamp))
        headers = dead_letter_headers(
            record.headers, unreadable.source, reason=unreadable.reason.value, history=history
        )
        await self._letters.bury_record(record.value, unreadable.id, headers, unreadable.reason)
        self._log.warning(
            "record_rejected",
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            code=unreadable.code.value,
            reason=unreadable.message,
        )
        await self._tell_rejected(unreadable)
        self._journals.finished(tenure, record.offset, Outcome.DEAD_LETTERED.value)

    def failed(self, waiting: Waiting, wait_ms: int, call_ms: int) -> None:
        """An attempt failed and was not the last: the next one is in `wait_ms` or later."""
        attempt = waiting.history[-1]
        self._story.failed(waiting, attempt, call_ms=call_ms, wait_ms=wait_ms)
        value = event(
            waiting,
            ending=None,
            deployment=attempt.deployment,
            status=attempt.status,
            code=attempt.code,
            call_ms=call_ms,
        )
        self._events.add(waiting.record.tenant, value)

    async def _tell(
        self, waiting: Waiting, ending: Ending, stream: ReplyStream | None
    ) -> tuple[int, int, int] | None:
        address = waiting.record.reply
        if address is None:
            return None
        reply = reply_of(waiting.id, ending)
        if stream is not None:
            reply.seq = stream.chunks + 1
            if stream.lasts and ending.status == STREAMED:
                reply.body, reply.whole = stream.kept + ending.body, True
        reply.attempt = waiting.attempt
        reply.instance = address.instance
        reply.attempts = rows.calls(waiting)
        reply.queue_ms = queue_ms(waiting)
        return await self._replies.final(address, reply)

    async def _tell_rejected(self, unreadable: Unreadable) -> None:
        ending = of_error(Outcome.DEAD_LETTERED, unreadable.code, unreadable.message)
        place: tuple[int, int, int] | None = None
        if unreadable.reply is not None:
            try:
                reply = reply_of(unreadable.id, ending)
                reply.attempts = unreadable.lost
                reply.attempt = max(1, unreadable.lost)
                place = await self._replies.final(unreadable.reply, reply)
            except Undeliverable as error:
                self._log.warning(
                    "reply_undeliverable", request_id=unreadable.id, reason=str(error)
                )
        if unreadable.lasting_for is not None:
            row = rows.rejected(unreadable.lasting_for, unreadable, ending, place)
            await self._states.ended(row)

    async def _too_large(self, waiting: Waiting, message: str) -> None:
        ending = of_error(Outcome.DEAD_LETTERED, Code.RECORD_TOO_LARGE, message)
        await self.dead_letter(waiting, Reason.UNPROCESSABLE, message, ending)

    async def keep(
        self, topic: str, value: bytes | None, request_id: RequestId, headers: Headers
    ) -> None:
        """Write a record on as it came. Raises `Undeliverable`."""
        await self._letters.keep(topic, value, request_id, headers)

    def _account(self, waiting: Waiting, ending: Ending, call_ms: int) -> None:
        value = event(
            waiting,
            ending=ending,
            deployment=ending.upstream,
            status=ending.status,
            code=ending.code,
            call_ms=call_ms,
        )
        self._events.add(waiting.record.tenant, value)
        self._metrics.ended(waiting, ending)
        self._story.ended(waiting, ending, call_ms=call_ms)

    def _done(self, waiting: Waiting, how: str) -> None:
        if waiting.copied:
            self._ended(waiting)
        self._journals.finished(waiting.tenure, waiting.offset, how)
