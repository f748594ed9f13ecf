"""The dispatcher, in one loop: poll, decide, act, commit.

    poll     records of the lanes and of the delay topics, read ahead within bounds
    decide   for each request whose turn it is: a verdict, a pure function of what is known now
    act      a call in a task of its own, an answer, or nothing; Kafka has acknowledged an outcome
             before its offset counts as done
    commit   only the contiguous finished prefix of each partition

How it works. Requests of higher lanes go first, with a share for the lower ones. A request starts when a
deployment of its model has a free seat; calls end in any order. What was begun is in the journal, so
another dispatcher that takes a partition over knows what is done, what still runs here, and what was
lost with a process. Losing a partition never cancels a call: it is finished, and the journal told.
"""

import asyncio
from collections.abc import Coroutine, Sequence
from typing import assert_never

from headrace.dispatcher.attempt import Attempts, cancelled
from headrace.dispatcher.cancels import Cancels
from headrace.dispatcher.delays import Timers
from headrace.dispatcher.fleet import Fleet
from headrace.dispatcher.intake import Unreadable, understand
from headrace.dispatcher.lanes import LaneQueues
from headrace.dispatcher.metrics import Metrics
from headrace.dispatcher.outcome import Ending, of_error
from headrace.dispatcher.policy.decide import decide
from headrace.dispatcher.ports import Clock, Sources
from headrace.dispatcher.seats import Seats
from headrace.dispatcher.settle import Settlement
from headrace.dispatcher.tenure import SourceRecord, Tenure
from headrace.dispatcher.verdicts import Before, Cancel, Defer, Dispatch, Drop, Expire, Fail
from headrace.dispatcher.waiting import Waiting
from headrace.schemas.config.model import Config
from headrace.schemas.errors import Code
from headrace.schemas.names import DeploymentName, ModelName, Outcome
from headrace.schemas.replies import Cancel as CancelRecord

TICK_S = 0.25
"""How often deadlines, dead owners and commits are looked after when nothing else happens."""
DELAY_WINDOW = 1_000
"""Offsets of one delay partition that may wait in memory for their time."""
DELAY_BYTES = 4 * 1024 * 1024
"""Their bodies together: as many bytes as the largest record has."""


class Dispatcher:
    """One process's share of the work."""

    def __init__(
        self,
        config: Config,
        *,
        sources: Sources,
        attempts: Attempts,
        settlement: Settlement,
        seats: Seats,
        fleet: Fleet,
        metrics: Metrics,
        clock: Clock,
    ) -> None:
        self._config = config
        self._sources = sources
        self._attempts = attempts
        self._settlement = settlement
        self._seats = seats
        self._fleet = fleet
        self._metrics = metrics
        self._clock = clock
        self._queues = LaneQueues(list(config.lanes), config.dispatcher.lower_lane_share)
        self._timers = Timers()
        self._maturing = Timers()
        """Records of delay topics, until the delay of their topic is over."""
        self._cancels = Cancels()
        self._tasks: set[asyncio.Task[None]] = set()
        self._swept_ms = 0
        self._stopping = False
        self.failure: BaseException | None = None

    async def run(self) -> None:
        """Work until `stop`."""
        while not self._stopping:
            arrivals = await self._sources.poll(self._patience_s())
            if self._stopping:
                return
            now_ms = self._clock.now_ms()
            for tenure, records in arrivals + self._sources.held():
                self._read(tenure, records)
            self._wake_due(now_ms)
            self._sweep(now_ms)
            if not self._fleet.fenced(self._clock.monotonic()):
                for model in list(self._queues.models()):
                    self._serve(model, now_ms)
            self._sources.commit()

    def _serve(self, model: ModelName, now_ms: int) -> None:
        """Decide about requests of `model` in their order for as long as one can start."""
        while True:
            deployment = self._seats.free(model)
            waiting = self._queues.pick(model) if deployment is not None else None
            if waiting is None:
                return
            if waiting.history:
                deployment = self._seats.free(model, avoid=waiting.tried) or deployment
            cancelled_by_owner = waiting.id in self._cancels
            verdict = decide(
                waiting, now_ms=now_ms, cancelled=cancelled_by_owner, deployment=deployment
            )
            self._act(waiting, verdict)

    def _act(self, waiting: Waiting, verdict: Before) -> None:
        match verdict:
            case Dispatch(deployment):
                self._call(waiting, deployment)
            case Defer():
                self._queues.push(waiting, first=True)
            case Drop():
                pass  # not started here: whoever owns the partition now reads it again
            case Cancel():
                self._end(waiting, cancelled())
            case Expire(message):
                self._end(waiting, of_error(Outcome.EXPIRED, Code.DEADLINE_EXCEEDED, message))
            case Fail(code, message):
                self._end(waiting, of_error(Outcome.FAILED, code, message))
            case _:
                assert_never(verdict)

    def _call(self, waiting: Waiting, deployment: DeploymentName) -> None:
        self._seats.take(deployment)

        def freed() -> None:
            self._seats.give_back(deployment)
            self._sources.wake()

        self._spawn(
            self._attempts.run(
                waiting, deployment, freed=freed, again=self._wait_here, back=self._take_back
            )
        )

    def _take_back(self, waiting: Waiting) -> None:
        if self._stopping and waiting.started:
            self._delay(waiting, self._clock.now_ms())
        else:
            self._queues.push(waiting, first=True)

    def _end(self, waiting: Waiting, ending: Ending) -> None:
        self._settlement.begin(waiting)
        self._spawn(self._settlement.answer(waiting, ending))

    def _read(self, tenure: Tenure, records: Sequence[SourceRecord]) -> None:
        """Take records in: what can run waits in its lane or for its time, the rest is settled."""
        lane = self._config.lanes[tenure.lane]
        for record in records:
            if not tenure.owned or not tenure.admit(record):
                continue
            if record.offset in tenure.ambiguous:
                self._metrics.ambiguous.inc()
            waiting = understand(record, tenure, lane)
            if isinstance(waiting, Unreadable):
                self._settlement.begin_rejection(tenure, record)
                self._spawn(self._settlement.reject(tenure, record, waiting))
            elif not self._seats.serves(waiting.model):
                unknown = Fail(Code.MODEL_NOT_FOUND, f"no deployment serves {waiting.model}")
                self._act(waiting, unknown)
            elif tenure.delay_ms:
                self._maturing.push(record.timestamp + tenure.delay_ms, waiting)
            else:
                self._queues.push(waiting)

    def _wake_due(self, now_ms: int) -> None:
        """Requests whose wait in memory is over: to their lane, or on to the next part of a long wait."""
        for waiting in self._maturing.due(now_ms) + self._timers.due(now_ms):
            left_ms = waiting.due_ms - now_ms
            if left_ms <= 0:
                self._metrics.retry_late.observe(-left_ms / 1000)
                self._queues.push(waiting, first=True)
            elif not self._wait_here(waiting, waiting.due_ms):
                self._delay(waiting, now_ms)

    def _wait_here(self, waiting: Waiting, due_ms: int) -> bool:
        """Keep a request in memory until `due_ms`; False if that is too long or there are too many."""
        limits = self._config.dispatcher
        long_wait = due_ms - self._clock.now_ms() > limits.memory_retry_s * 1000
        full = (
            len(self._timers) >= limits.memory_retries
            or self._timers.size >= limits.read_ahead_bytes
        )
        if self._stopping or long_wait or full:
            return False
        waiting.due_ms = due_ms
        self._timers.push(due_ms, waiting)
        return True

    def _delay(self, waiting: Waiting, now_ms: int) -> None:
        self._spawn(
            self._settlement.retry(
                waiting, due_ms=waiting.due_ms, now_ms=now_ms, attempt=waiting.attempt
            )
        )

    def _sweep(self, now_ms: int) -> None:
        """Answer what waits for a seat and ran out of time, or was taken back, without its turn."""
        if now_ms - self._swept_ms < TICK_S * 1000:
            return
        self._swept_ms = now_ms
        over = self._queues.take(
            lambda w: w.deadline_ms <= now_ms or w.id in self._cancels or not w.ours
        )
        for waiting in over:
            taken_back = waiting.id in self._cancels
            self._act(
                waiting, decide(waiting, now_ms=now_ms, cancelled=taken_back, deployment=None)
            )
        waiting_retries = len(self._timers) + len(self._maturing)
        self._metrics.observe(self._queues.records, waiting_retries, self._seats.in_use)

    def cancel(self, cancel: CancelRecord) -> None:
        """An owner took a request back: do not start it, abort it if it runs."""
        self._cancels.add(cancel.id, cancel.deadline_ms, self._clock.now_ms())
        self._attempts.cancel(cancel.id)

    def room(self, tenure: Tenure) -> bool:
        """Whether more of this partition may be read."""
        limits = self._config.dispatcher
        if tenure.delay_ms:
            return (
                tenure.tracker.span < DELAY_WINDOW
                and self._maturing.size_of(tenure) < DELAY_BYTES
                and self._queues.bytes[tenure.lane] < limits.read_ahead_bytes
            )
        return (
            tenure.tracker.span < limits.partition_window
            and self._queues.records[tenure.lane] < limits.read_ahead_records
            and self._queues.bytes[tenure.lane] < limits.read_ahead_bytes
        )

    def revoked(self) -> None:
        """Partitions went elsewhere: forget what was not started."""
        self._queues.take(lambda waiting: not waiting.ours)
        self._timers.take(lambda waiting: not waiting.ours)
        self._maturing.take(lambda waiting: not waiting.ours)

    def stop(self) -> None:
        """Start nothing more. Waits in memory go on in the delay topics."""
        self._stopping = True
        now_ms = self._clock.now_ms()
        for waiting in self._timers.take(lambda w: w.started) + self._queues.take(
            lambda w: w.started
        ):
            waiting.due_ms = max(waiting.due_ms, now_ms)
            self._delay(waiting, now_ms)
        self._sources.wake()

    async def finish(self, grace_s: float) -> None:
        """Wait for what runs; at the end of the grace the calls that are left are cut short."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=grace_s)
        self._attempts.abort_all()
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _patience_s(self) -> float:
        times = (self._timers.next_ms(), self._maturing.next_ms())
        next_ms = min((at for at in times if at is not None), default=None)
        if next_ms is None:
            return TICK_S
        return min(TICK_S, max(0.0, (next_ms - self._clock.now_ms()) / 1000))

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.fail(error)

    def fail(self, error: BaseException) -> None:
        """A fault of ours: stop at once, so that a successor takes over what is not done."""
        self.failure = self.failure or error
        self._stopping = True
        self._sources.wake()
