"""One attempt: call the upstream, judge how it ended, settle. A task of its own, started by the loop."""

import asyncio
import random
from collections.abc import Callable
from typing import assert_never, cast

from headrace.dispatcher.kafka.directory import Directory
from headrace.dispatcher.kafka.journals import JournalWriter
from headrace.dispatcher.kafka.replies import Replies, ReplyStream
from headrace.dispatcher.metrics import Metrics
from headrace.dispatcher.outcome import (
    Ending,
    cancelled,
    last_word,
    of_answer,
    of_error,
    unwritable,
)
from headrace.dispatcher.policy.retry import Tried, attempt_of
from headrace.dispatcher.ports import Call, CallEnd, Clock, Upstream
from headrace.dispatcher.repeats import Repeats
from headrace.dispatcher.seats import Seats
from headrace.dispatcher.settle import Settlement
from headrace.dispatcher.verdicts import After, DeadLetter, Expire, Fail, Retry, Settle
from headrace.dispatcher.waiting import Waiting, unbarred_ms
from headrace.schemas.errors import Code
from headrace.schemas.journal import LOST
from headrace.schemas.names import DeploymentName, Outcome, RequestId
from headrace.schemas.records import ReplyTo
from headrace.schemas.replies import Reply

Again = Callable[[Waiting, int], bool]
"""Takes a request that is to run again at a time (epoch ms) in memory; False if it cannot wait here."""
Back = Callable[[Waiting], None]
"""Takes back a request that was not called: what is to become of it is decided again."""


class Attempts:
    """Makes attempts; knows which calls run, so that they can be cancelled."""

    def __init__(
        self,
        *,
        upstream: Upstream,
        repeats: Repeats,
        replies: Replies,
        settlement: Settlement,
        journals: JournalWriter,
        metrics: Metrics,
        clock: Clock,
        seats: Seats,
        directory: Directory,
    ) -> None:
        self._directory = directory
        self._seats = seats
        self._upstream = upstream
        self._repeats = repeats
        self._replies = replies
        self._settlement = settlement
        self._journals = journals
        self._metrics = metrics
        self._clock = clock
        self._calling: dict[RequestId, asyncio.Task[None]] = {}
        self._aborting = False

    def cancel(self, request_id: RequestId) -> bool:
        """Abort the call of a request whose owner took it back; False if none runs."""
        task = self._calling.get(request_id)
        return task is not None and task.cancel()

    def abort_all(self) -> None:
        """The grace is over: cut every call short; the next owner runs them again."""
        self._aborting = True
        for task in list(self._calling.values()):
            task.cancel()

    async def run(
        self,
        waiting: Waiting,
        deployment: DeploymentName,
        *,
        freed: Callable[[], None],
        again: Again,
        back: Back,
    ) -> None:
        """Make the attempt and settle it; `freed` is called when the call has left its seat."""
        address = waiting.record.reply
        if address is not None and not self._directory.knows(address):
            await self._look_up(waiting, address, freed, back)
            return
        if not waiting.ours:
            # The partition went elsewhere since the decision: its new owner reads the request again.
            freed()
            return
        now_ms = self._clock.now_ms()
        self._begin(waiting, deployment, now_ms)
        stream = self._open(waiting, deployment)
        began_s = self._clock.monotonic()
        try:
            end = await self._call(waiting, deployment, stream, now_ms)
        finally:
            freed()
        seconds = self._clock.monotonic() - began_s
        if end is None:
            await self._finish(waiting, cancelled(), stream, 0)
            return
        self._metrics.called(deployment, end, seconds)
        if stream is None:
            end.forwarded = 0  # nobody has read anything of it
        await self._judge(waiting, deployment, end, stream, round(seconds * 1000), again)

    async def _look_up(
        self, waiting: Waiting, address: ReplyTo, freed: Callable[[], None], back: Back
    ) -> None:
        """Ask whether the answer has somewhere to go before the call is paid for.

        Meanwhile the request may be taken back, run out of time, or go to another dispatcher.
        """
        try:
            exists = await self._directory.exists(address)
        finally:
            freed()
        if exists:
            back(waiting)
        elif waiting.ours:
            await self._settlement.undeliverable(waiting)

    def _begin(self, waiting: Waiting, deployment: DeploymentName, now_ms: int) -> None:
        if not waiting.first_call_ms:
            waiting.first_call_ms = now_ms
            if waiting.attempt == 1:
                self._metrics.first_call(waiting)
                self._repeats.first_call(waiting.model, self._clock.monotonic())
        waiting.started = True
        self._journals.started(waiting.tenure, waiting.offset, waiting.attempt)
        if waiting.record.kind is not None:
            self._settlement.running(waiting, deployment)

    def _open(self, waiting: Waiting, deployment: DeploymentName) -> ReplyStream | None:
        address = waiting.record.reply
        if not waiting.stream or address is None:
            return None
        base = Reply(id=waiting.id, body=b"", attempt=waiting.attempt, instance=address.instance)
        loop = asyncio.get_running_loop()
        stream = self._replies.open(
            address,
            base,
            # Not at once: a stream can break inside its own call, and the cancellation would then
            # meet whatever that task awaits next, its settlement too.
            lambda: loop.call_soon(self.cancel, waiting.id),
        )
        if waiting.record.kind is not None:
            self._settlement.lasting(waiting, deployment, stream)
        return stream

    async def _call(
        self, waiting: Waiting, deployment: DeploymentName, stream: ReplyStream | None, now_ms: int
    ) -> CallEnd | None:
        """Make the call. None: it was cancelled by its owner, or its stream could not be written."""
        call = Call(
            id=waiting.id,
            endpoint=waiting.endpoint,
            body=waiting.record.body,
            stream=waiting.stream,
            deployment=deployment,
            traceparent=waiting.record.traceparent,
            timeout_s=(waiting.deadline_ms - now_ms) / 1000,
        )
        task = cast("asyncio.Task[None]", asyncio.current_task())
        self._calling[waiting.id] = task
        try:
            return await self._upstream.call(call, stream.forward if stream else _nowhere)
        except asyncio.CancelledError:
            if self._aborting:
                self._journals.cut_short(waiting.tenure, waiting.offset, LOST)
                raise
            # A cancel of one request, not of this process: the task goes on and settles it.
            task.uncancel()
            return None
        finally:
            if self._calling.get(waiting.id) is task:
                del self._calling[waiting.id]

    async def _judge(
        self,
        waiting: Waiting,
        deployment: DeploymentName,
        end: CallEnd,
        stream: ReplyStream | None,
        call_ms: int,
        again: Again,
    ) -> None:
        now_ms = self._clock.now_ms()
        verdict = self._repeats.judge(
            end,
            Tried(waiting.attempt, waiting.history, waiting.deadline_ms),
            model=waiting.model,
            now_ms=now_ms,
            now_s=self._clock.monotonic(),
            roll=random.random(),  # noqa: S311 - jitter, not a secret
            call_ms=call_ms,
            elsewhere=self._seats.elsewhere(waiting.model, waiting.tried | {deployment}),
        )
        match verdict:
            case Settle(outcome):
                await self._finish(waiting, of_answer(end, deployment, outcome), stream, call_ms)
            case Fail(code, message):
                ending = of_error(Outcome.FAILED, code, message, deployment)
                await self._finish(waiting, ending, stream, call_ms)
            case Expire(message, pass_on):
                ending = last_word(
                    end,
                    deployment,
                    Outcome.EXPIRED,
                    Code.DEADLINE_EXCEEDED,
                    message,
                    pass_on=pass_on,
                )
                await self._finish(waiting, ending, stream, call_ms)
            case Retry():
                self._remember(waiting, deployment, end, verdict, now_ms)
                self._settlement.attempt_event(waiting, waiting.history[-1], call_ms)
                await self._retry(waiting, deployment, verdict, now_ms, again)
            case DeadLetter(reason, code, message, pass_on):
                self._remember(waiting, deployment, end, verdict, now_ms)
                ending = last_word(
                    end, deployment, Outcome.DEAD_LETTERED, code, message, pass_on=pass_on
                )
                await self._settlement.dead_letter(
                    waiting, reason, message, ending, call_ms=call_ms
                )
            case _:
                assert_never(verdict)

    async def _retry(
        self,
        waiting: Waiting,
        deployment: DeploymentName,
        verdict: Retry,
        now_ms: int,
        again: Again,
    ) -> None:
        self._metrics.retried(verdict.reason)
        waiting.attempt += 1
        if verdict.barred_ms > now_ms:
            waiting.barred = {**waiting.barred, deployment: verdict.barred_ms}
        if not again(waiting, verdict.due_ms):
            due_ms = unbarred_ms(waiting, verdict.due_ms)
            await self._settlement.retry(
                waiting, due_ms=due_ms, now_ms=now_ms, attempt=waiting.attempt
            )

    def _remember(
        self,
        waiting: Waiting,
        deployment: DeploymentName,
        end: CallEnd,
        verdict: After,
        now_ms: int,
    ) -> None:
        attempt = attempt_of(
            end, verdict, number=waiting.attempt, at_ms=now_ms, deployment=deployment
        )
        waiting.history = (*waiting.history, attempt)

    async def _finish(
        self, waiting: Waiting, ending: Ending, stream: ReplyStream | None, call_ms: int
    ) -> None:
        if stream is not None:
            await stream.drain()
            if stream.broken:
                ending = unwritable(ending.upstream)
        await self._settlement.answer(waiting, ending, stream=stream, call_ms=call_ms)


def _nowhere(_chunk: bytes) -> None:
    """A stream that nobody reads: it is read to its end all the same."""
