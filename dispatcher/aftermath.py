"""After a call: judge how it ended, and settle the request or run it again."""

import random
from collections.abc import Callable
from typing import assert_never

from headrace.dispatcher.breakers.board import Breakers
from headrace.dispatcher.kafka.journals import JournalWriter
from headrace.dispatcher.kafka.replies import ReplyStream
from headrace.dispatcher.metrics import Metrics
from headrace.dispatcher.outcome import Ending, last_word, of_answer, of_error, unwritable
from headrace.dispatcher.policy.ambiguous import AmbiguousPolicy
from headrace.dispatcher.policy.retry import Tried, attempt_of
from headrace.dispatcher.ports import CallEnd, Clock
from headrace.dispatcher.repeats import Repeats
from headrace.dispatcher.seats import Seats
from headrace.dispatcher.settle import Settlement
from headrace.dispatcher.verdicts import After, DeadLetter, Expire, Fail, Retry, Settle
from headrace.dispatcher.waiting import Waiting, unbarred_ms
from headrace.schemas.errors import Code
from headrace.schemas.names import DeploymentName, Outcome

Again = Callable[[Waiting, int], bool]
"""Takes a request that is to run again at a time (epoch ms) in memory; False if it cannot wait here."""


class Aftermath:
    """Sees to the ends of calls. One per process."""

    def __init__(
        self,
        *,
        repeats: Repeats,
        settlement: Settlement,
        journals: JournalWriter,
        metrics: Metrics,
        clock: Clock,
        seats: Seats,
        ambiguous: AmbiguousPolicy,
        breakers: Breakers,
    ) -> None:
        self._repeats = repeats
        self._settlement = settlement
        self._journals = journals
        self._metrics = metrics
        self._clock = clock
        self._seats = seats
        self._ambiguous = ambiguous
        self._breakers = breakers

    async def judge(
        self,
        waiting: Waiting,
        deployment: DeploymentName,
        end: CallEnd,
        stream: ReplyStream | None,
        *,
        call_ms: int,
        again: Again,
    ) -> None:
        """Decide what becomes of a request whose call ended with `end`, and see to it."""
        now_ms, own = self._clock.now_ms(), 1 + len(waiting.history)
        tried = Tried(
            waiting.attempt,
            waiting.history,
            waiting.deadline_ms,
            self._ambiguous.of(waiting.record, waiting.model),
        )
        verdict = self._repeats.judge(
            end,
            tried,
            model=waiting.model,
            now_ms=now_ms,
            now_s=self._clock.monotonic(),
            roll=random.random(),  # noqa: S311 - jitter, not a secret
            call_ms=call_ms,
            elsewhere=self._seats.elsewhere(waiting.model, waiting.tried | {deployment}),
            outage=self._breakers.outage(deployment, now_ms, own),
            unproven=self._breakers.unproven(deployment, tried.failing_ms(now_ms)),
        )
        match verdict:
            case Settle(outcome):
                await self.finish(waiting, of_answer(end, deployment, outcome), stream, call_ms)
            case Fail(code, message):
                ending = of_error(Outcome.FAILED, code, message, deployment)
                await self.finish(waiting, ending, stream, call_ms)
            case Expire(message, pass_on):
                ending = last_word(
                    end,
                    deployment,
                    Outcome.EXPIRED,
                    Code.DEADLINE_EXCEEDED,
                    message,
                    pass_on=pass_on,
                )
                await self.finish(waiting, ending, stream, call_ms)
            case Retry():
                self._remember(waiting, deployment, end, verdict, now_ms)
                self._settlement.failed(waiting, verdict.due_ms - now_ms, call_ms)
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
        self._journals.started(waiting.tenure, waiting.offset, -waiting.attempt)
        waiting.attempt += 1
        if not waiting.ours:
            self._journals.give_up(waiting.tenure, waiting.offset)
            return
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

    async def finish(
        self, waiting: Waiting, ending: Ending, stream: ReplyStream | None, call_ms: int = 0
    ) -> None:
        """Answer, when the chunks of its stream are in Kafka."""
        if stream is not None:
            await stream.drain()
            if stream.broken:
                ending = unwritable(ending.upstream)
        await self._settlement.answer(waiting, ending, stream=stream, call_ms=call_ms)
