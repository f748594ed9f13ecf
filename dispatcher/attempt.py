"""One attempt: a call of the upstream, in a task of its own that the loop starts."""

import asyncio
from collections.abc import Callable
from typing import cast

from headrace.dispatcher.aftermath import Aftermath, Again
from headrace.dispatcher.breakers.board import Breakers
from headrace.dispatcher.breakers.watch import Watch
from headrace.dispatcher.fleet import Fleet
from headrace.dispatcher.gate import Gate
from headrace.dispatcher.kafka.directory import Directory
from headrace.dispatcher.kafka.journals import JournalWriter
from headrace.dispatcher.kafka.replies import Replies, ReplyStream
from headrace.dispatcher.metrics import Metrics
from headrace.dispatcher.outcome import cancelled, opening
from headrace.dispatcher.overheard import Overheard
from headrace.dispatcher.policy.ambiguous import AmbiguousPolicy
from headrace.dispatcher.ports import Call, CallEnd, Clock, Forward, Upstream
from headrace.dispatcher.repeats import Repeats
from headrace.dispatcher.seats import Seats
from headrace.dispatcher.settle import Settlement
from headrace.dispatcher.waiting import Waiting
from headrace.schemas.names import Ambiguous, DeploymentName, Identity, ModelName
from headrace.schemas.records import ReplyTo

ANNOUNCED_S = 0.01
"""Longer than the journal gathers entries: what kills later than that is known to have begun."""

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
        ambiguous: AmbiguousPolicy,
        fleet: Fleet,
        breakers: Breakers,
        overheard: Overheard,
    ) -> None:
        self._overheard = overheard
        self._ambiguous = ambiguous
        self._fleet = fleet
        self._directory = directory
        self._aftermath = Aftermath(
            repeats=repeats,
            settlement=settlement,
            journals=journals,
            metrics=metrics,
            clock=clock,
            seats=seats,
            ambiguous=ambiguous,
            breakers=breakers,
        )
        self._upstream = upstream
        self._repeats = repeats
        self._replies = replies
        self._settlement = settlement
        self._journals = journals
        self._metrics = metrics
        self._clock = clock
        self._calling: dict[Identity, asyncio.Task[None]] = {}
        self.running: set[Waiting] = set()
        """Requests whose calls run now."""
        self._announcing = asyncio.Lock()
        self._aborting = False

    def cancel(self, request: Identity) -> bool:
        """Abort the call of a request whose owner took it back; False if none runs."""
        task = self._calling.get(request)
        return task is not None and task.cancel()

    def abort_all(self) -> None:
        """The grace is over: cut every call short; the next owner runs them again."""
        self._aborting = True
        for task in list(self._calling.values()):
            task.cancel()

    def slow_ms(self, model: ModelName) -> int:
        """How long all but the slowest calls of `model` take; 0 while it is not known."""
        return self._repeats.slow_ms(model)

    async def run(
        self,
        waiting: Waiting,
        deployment: DeploymentName,
        *,
        freed: Callable[[], None],
        again: Again,
        back: Back,
        gate: Gate | None = None,
        watch: Watch | None = None,
    ) -> None:
        """Make the attempt and settle it; `freed` is called when the call has left its seat.

        Where there is a `gate`, nothing is sent unless it opens. `watch` is told how the call goes.
        """
        address = waiting.record.reply
        if address is not None and not self._directory.knows(address):
            await self._look_up(waiting, address, freed, back)
            return
        if not await self._may_begin(waiting):
            freed()
            back(waiting)
            return
        now_ms = self._clock.now_ms()
        self._begin(waiting, deployment, now_ms)
        if not await self._may_be_made(waiting):
            freed()
            self._not_called(waiting, back)
            return
        stream = self._open(waiting, deployment)
        began_s = self._clock.monotonic()
        try:
            end = await self._call(waiting, deployment, stream, now_ms, gate, watch)
        finally:
            freed()
        seconds = self._clock.monotonic() - began_s
        if end is None:
            await self._aftermath.finish(waiting, cancelled(), stream)
            return
        if end.withheld:
            self._not_called(waiting, back)
            return
        if gate is not None:
            gate.settle(end)
        self._overheard.ended(
            deployment,
            waiting.id,
            end,
            began_ms=int(began_s * 1000),
            mono_ms=int((began_s + seconds) * 1000),
            now_ms=self._clock.now_ms(),
        )
        self._metrics.called(deployment, end, seconds)
        if stream is None:
            end.forwarded = 0  # nobody has read anything of it
        await self._aftermath.judge(
            waiting, deployment, end, stream, call_ms=round(seconds * 1000), again=again
        )

    async def _may_begin(self, waiting: Waiting) -> bool:
        """Whether it is still ours, and still to be called; a new owner reads it again.

        A repeat waits until a successor would know of the call before it, as a crash would hide both; by then
        this process may be told to end, or have stood still for so long that others take it for dead.
        """
        if waiting.first_call_ms:
            await self._journals.flush()
            if self._aborting or self._fleet.fenced(self._clock.monotonic()):
                return False
        return waiting.ours

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
        if exists or not waiting.ours:
            back(waiting)
        else:
            await self._settlement.undeliverable(waiting)

    def _begin(self, waiting: Waiting, deployment: DeploymentName, now_ms: int) -> None:
        if not waiting.first_call_ms:
            waiting.first_call_ms = now_ms
            if waiting.attempt == 1:
                self._metrics.first_call(waiting)
                self._repeats.first_call(waiting.model, self._clock.monotonic())
        waiting.started = True
        self._journals.started(waiting.tenure, waiting.offset, waiting.attempt)
        if waiting.on_trial:
            self._journals.tried(waiting.tenure, waiting.offset, begins=True)
        if waiting.record.kind is not None:
            self._settlement.running(waiting, deployment)

    async def _announce(self, waiting: Waiting) -> None:
        """Let the journal know of the call alone, for as long as it would take to learn of it by itself."""
        await self._announcing.acquire()
        self._journals.tried(waiting.tenure, waiting.offset, begins=True)
        await self._journals.flush()

        def over() -> None:
            self._journals.tried(waiting.tenure, waiting.offset, begins=False)
            self._announcing.release()

        asyncio.get_running_loop().call_later(ANNOUNCED_S, over)

    async def _may_be_made(self, waiting: Waiting) -> bool:
        """Whether a call that stands in the journal is made: some must be announced or known first."""
        if waiting.careful:
            await self._announce(waiting)
        return await self._is_known(waiting) and not self._aborting

    async def _is_known(self, waiting: Waiting) -> bool:
        """Whether, where that matters, its START stands before any other's CLAIM, and we pass for alive."""
        policy = self._ambiguous.of(waiting.record, waiting.model)
        if not waiting.suspect and policy is Ambiguous.RETRY:
            return True
        known = await self._journals.confirmed(waiting.tenure)
        return known and not self._fleet.fenced(self._clock.monotonic())

    def _not_called(self, waiting: Waiting, back: Back) -> None:
        if waiting.tenure.owned:
            self._journals.started(waiting.tenure, waiting.offset, 1 - waiting.attempt)
            back(waiting)
        else:
            self._journals.give_up(waiting.tenure, waiting.offset)

    def _open(self, waiting: Waiting, deployment: DeploymentName) -> ReplyStream | None:
        address = waiting.record.reply
        if not waiting.stream or address is None:
            return None
        base = opening(waiting, address, deployment)
        loop = asyncio.get_running_loop()
        stream = self._replies.open(
            address,
            base,
            # Not at once: a stream can break inside its own call, and the cancellation would then
            # meet whatever that task awaits next, its settlement too.
            lambda: loop.call_soon(self.cancel, waiting.identity),
        )
        if waiting.record.kind is not None:
            self._settlement.lasting(waiting, deployment, stream)
        return stream

    async def _call(
        self,
        waiting: Waiting,
        deployment: DeploymentName,
        stream: ReplyStream | None,
        now_ms: int,
        gate: Gate | None,
        watch: Watch | None,
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
            gate=gate.opens if gate is not None else None,
            cuttable=gate.cuttable if gate is not None else None,
            metered=gate is not None and gate.metered,
        )
        task = cast("asyncio.Task[None]", asyncio.current_task())
        self._calling[waiting.identity] = task
        self.running.add(waiting)
        waiting.began_s = self._clock.monotonic()
        forward: Forward = stream.forward if stream else _nowhere
        if watch is not None:
            watch.sent()
            forward = watch.forwarding(forward)
        try:
            end = await self._upstream.call(call, forward)
        except asyncio.CancelledError:
            if self._aborting:
                self._journals.give_up(waiting.tenure, waiting.offset)
                raise
            # A cancel of one request, not of this process: the task goes on and settles it.
            task.uncancel()
            if gate is not None:
                gate.left(call.end)
            return None
        else:
            if watch is not None:
                watch.ended(end)
            return end
        finally:
            self.running.discard(waiting)
            if self._calling.get(waiting.identity) is task:
                del self._calling[waiting.identity]


def _nowhere(_chunk: bytes) -> None:
    """A stream that nobody reads: it is read to its end all the same."""
