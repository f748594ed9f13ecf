"""The dispatcher, in one loop: poll, decide, act, commit.

    poll     records of the lanes and of the delay topics, read ahead within bounds
    decide   for each request whose turn it is: a verdict, a pure function of what is known now
    act      a call in a task of its own, an answer, or nothing; done is what Kafka acknowledged
    commit   only the contiguous finished prefix of each partition

How it works. Higher lanes go first, with a share for the lower ones. A request starts when a deployment of
its model has a free seat; calls end in any order. What was begun is in the journal, so whoever takes a
partition over knows what is done, what runs here still, and what was lost. No call is cancelled by that.
"""

from typing import assert_never

from headrace.dispatcher.arrivals import Arrivals
from headrace.dispatcher.attempt import Attempts
from headrace.dispatcher.brakes import Brakes
from headrace.dispatcher.breakers.board import Breakers
from headrace.dispatcher.calls import Calls
from headrace.dispatcher.cancels import Cancels
from headrace.dispatcher.crowds import Crowds
from headrace.dispatcher.departures import Departures
from headrace.dispatcher.fleet import Fleet
from headrace.dispatcher.gate import Gatekeeper
from headrace.dispatcher.lanes import LaneQueues
from headrace.dispatcher.metrics import Metrics
from headrace.dispatcher.operated import Operated
from headrace.dispatcher.outcome import Ending, cancelled, of_error
from headrace.dispatcher.parking import MARGIN_MS, Parking
from headrace.dispatcher.placing import Placing
from headrace.dispatcher.policy.decide import decide
from headrace.dispatcher.ports import Clock, Sources
from headrace.dispatcher.recovery import Recovery
from headrace.dispatcher.room import room
from headrace.dispatcher.seats import Seats
from headrace.dispatcher.settle import Settlement
from headrace.dispatcher.standing import Standing
from headrace.dispatcher.tasks import Tasks
from headrace.dispatcher.tenure import Tenure
from headrace.dispatcher.verdicts import Before, Cancel, Defer, Dispatch, Drop, Expire, Fail
from headrace.dispatcher.waiting import Waiting
from headrace.dispatcher.waits import Waits
from headrace.schemas.config.model import Config
from headrace.schemas.errors import Code
from headrace.schemas.names import DeploymentName, ModelName, Outcome
from headrace.schemas.replies import Cancel as CancelRecord

TICK_S = 0.25
"""How often deadlines, dead owners and commits are looked after when nothing else happens."""


class Dispatcher:
    """One process's share of the work."""

    def __init__(
        self,
        config: Config,
        *,
        sources: Sources,
        attempts: Attempts,
        calls: Calls,
        settlement: Settlement,
        arrivals: Arrivals,
        recovery: Recovery,
        parking: Parking,
        seats: Seats,
        breakers: Breakers,
        fleet: Fleet,
        metrics: Metrics,
        clock: Clock,
        operated: Operated,
        gates: Gatekeeper | None = None,
    ) -> None:
        self._config = config
        self._sources = sources
        self._attempts = attempts
        self._calls = calls
        self._settlement = settlement
        self._arrivals = arrivals
        self._recovery = recovery
        self._parking = parking
        self._standing = Standing(fleet, clock, sources)
        self._seats = seats
        self._breakers = breakers
        self._placing = Placing(seats, breakers, gates.routes.fits if gates else None)
        self._fleet = fleet
        self._metrics = metrics
        self._clock = clock
        self._gates = gates
        share, flows = config.dispatcher.lower_lane_share, gates.flows if gates else None
        weights = {name: tenant.weight for name, tenant in config.tenants.items()}
        self._queues = LaneQueues(list(config.lanes), share, flows, weights)
        self._waits = Waits(config.dispatcher)
        self._cancels = Cancels()
        self._tasks = Tasks(self.fail)
        departures = self._departures = Departures(settlement, self._waits, self._tasks)
        self._delay, self._hold = departures.start, departures.hold
        self._brakes = Brakes(
            operated, config.dispatcher, self._queues, seats, gates, self._push, self._delay
        )
        self._crowds = Crowds(config.dispatcher, self._queues, self._waits, self._delay, metrics)
        self._swept_ms, self._stopping = 0, False
        self.failure: BaseException | None = None

    async def run(self) -> None:
        """Work until `stop`."""
        while not self._stopping:
            most_s = self._recovery.quiet_s(self._clock.monotonic(), TICK_S)
            arrivals = await self._sources.poll(self._waits.quiet_s(self._clock.now_ms(), most_s))
            if self._stopping:
                return
            now_ms = self._clock.now_ms()
            for tenure, records in arrivals + self._sources.held():
                self._arrivals.take(tenure, records, self._accept, self._tasks.spawn)
            self._wake_due(now_ms)
            self._sweep(now_ms)
            if self._standing.wants_proof:
                self._tasks.spawn(self._standing.prove(self.revoked))
            if self._standing.sound:
                for suspect in self._recovery.turn(self._clock.monotonic()):
                    self._push(suspect)
                for model in list(self._queues.models()):
                    self._serve(model, now_ms)
                if self._gates is not None:
                    self._serve_covered(self._gates, now_ms)
            self._sources.commit()

    def _serve(self, model: ModelName, now_ms: int) -> None:
        """Decide about requests of `model` in their order for as long as one can start."""
        while True:
            free = self._placing.free(model, now_ms)
            waiting = self._queues.pick(model) if free is not None else None
            if free is None or waiting is None:
                return
            deployment = self._placing.place(waiting, free, now_ms)
            self._act(waiting, self._decide(waiting, now_ms, deployment))

    def _serve_covered(self, gates: Gatekeeper, now_ms: int) -> None:
        """The same for models with limits of the whole fleet: as far as credits of the governor reach."""
        covered, lets = gates.covers(), gates.lets()
        for deployment in gates.waited_for():
            while (waiting := self._queues.pick_covered(deployment, covered, lets)) is not None:
                barred = waiting.barred.get(deployment, 0) > now_ms
                self._act(waiting, self._decide(waiting, now_ms, None if barred else deployment))

    def _push(self, waiting: Waiting) -> None:
        """Queue a request, unless it can fit no limit: then it would wait for ever."""
        if self._brakes.hold(waiting, self._clock.now_ms()):
            return
        refusal = self._gates.route(waiting, self._clock.now_ms()) if self._gates else None
        if refusal is None:
            self._queues.push(waiting)
        else:
            self._act(waiting, refusal)

    def _decide(self, waiting: Waiting, now_ms: int, on: DeploymentName | None = None) -> Before:
        return decide(
            waiting,
            now_ms=now_ms,
            cancelled=waiting.record in self._cancels,
            deployment=on,
            slow_ms=self._attempts.slow_ms(waiting.model),
            until_ms=self._placing.until_ms(waiting, now_ms) if on is None else 0,
        )

    def _act(self, waiting: Waiting, verdict: Before) -> None:
        match verdict:
            case Dispatch(deployment):
                call = self._calls.begin(
                    waiting, deployment, again=self._wait_here, back=self._take_back
                )
                self._tasks.spawn(call)
            case Defer(0):
                self._departures.look_again(waiting, self._clock.now_ms())
            case Defer(until_ms):
                self._metrics.deferred.inc()
                self._hold(waiting, until_ms, self._clock.now_ms())
            case Drop():
                self._settlement.abandon(waiting)  # whoever owns the partition now reads it again
            case Cancel():
                self._end(waiting, cancelled())
            case Expire(message):
                self._end(waiting, of_error(Outcome.EXPIRED, Code.DEADLINE_EXCEEDED, message))
            case Fail(code, message, retry_ms):
                self._end(waiting, of_error(Outcome.FAILED, code, message, retry_ms=retry_ms))
            case _:
                assert_never(verdict)

    def _take_back(self, waiting: Waiting) -> None:
        if not waiting.ours:
            self._settlement.abandon(waiting)
        elif self._stopping and waiting.started:
            self._delay(waiting, self._clock.now_ms())
        else:
            self._push(waiting)

    def _end(self, waiting: Waiting, ending: Ending) -> None:
        self._settlement.begin(waiting)
        self._tasks.spawn(self._settlement.answer(waiting, ending))

    def _accept(self, waiting: Waiting) -> None:
        """A request was read: it waits in its lane or for its time, or cannot be served."""
        if not self._seats.serves(waiting.model):
            self._act(waiting, Fail(Code.MODEL_NOT_FOUND, f"no deployment serves {waiting.model}"))
        elif waiting.tenure.delay_ms:
            self._waits.mature(waiting, waiting.appended_ms + waiting.tenure.delay_ms)
        elif not waiting.due_ms or not self._postpone(waiting):
            self._push(waiting)

    def _postpone(self, waiting: Waiting) -> bool:
        """Put a request off that came before its time; False if its time has come."""
        now_ms = self._clock.now_ms()
        if waiting.due_ms <= now_ms or waiting.record in self._cancels:
            return False
        if waiting.due_ms >= waiting.deadline_ms:
            self._act(waiting, Expire("it is not to be sent before its deadline"))
        else:
            self._hold(waiting, waiting.due_ms, now_ms)
        return True

    def _wake_due(self, now_ms: int) -> None:
        """Requests whose wait in memory is over: to their lane, or on to the next part of a long wait."""
        for waiting in self._waits.due(now_ms):
            left_ms = waiting.due_ms - now_ms
            if left_ms <= 0 and waiting.parked is not None:
                self._end_parking(waiting, now_ms)
            elif left_ms <= 0:
                self._metrics.retry_late.observe(-left_ms / 1000)
                self._push(waiting)
            else:
                self._hold(waiting, waiting.due_ms, now_ms)

    def _end_parking(self, waiting: Waiting, now_ms: int) -> None:
        end = self._recovery.matured(waiting, self._fleet.alive, self._push)
        if end is not None:
            self._tasks.spawn(end)
            return
        waiting.due_ms = now_ms + MARGIN_MS
        self._delay(waiting, now_ms)

    def _wait_here(self, waiting: Waiting, due_ms: int) -> bool:
        return self._waits.keep(waiting, due_ms, self._clock.now_ms())

    def _sweep(self, now_ms: int) -> None:
        """See to what waits for a seat and ran out of time, was taken back, or is refused everywhere."""
        if now_ms - self._swept_ms < TICK_S * 1000:
            return
        self._swept_ms = now_ms
        self._brakes.look(now_ms, self._metrics)
        self._breakers.turn(now_ms)
        stuck = self._placing.stuck(now_ms)
        over = self._queues.take(
            lambda w: w.deadline_ms <= now_ms or w.record in self._cancels or not w.ours or stuck(w)
        )
        if self._cancels.are_new():  # the call of a parked one is ended where it runs
            over += self._waits.take(lambda w: w.record in self._cancels and w.parked is None)
        for waiting in over:
            self._act(waiting, self._decide(waiting, now_ms))
        self._crowds.turn(now_ms)
        if self._gates is not None:
            self._gates.routes.move(now_ms)
        for waiting in self._parking.due(self._attempts.running, self._clock.monotonic()):
            self._tasks.spawn(self._parking.park(waiting, now_ms))
        self._metrics.breakers(self._breakers.switches())
        self._metrics.observe(self._queues.records, len(self._waits), self._seats.in_use)

    def cancel(self, cancel: CancelRecord) -> None:
        """An owner took a request back: do not start it, abort it if it runs."""
        self._cancels.add(cancel, self._clock.now_ms())
        self._attempts.cancel((cancel.tenant, cancel.id))

    def room(self, tenure: Tenure) -> bool:
        """Whether more of this partition may be read."""
        return room(tenure, self._queues, self._waits, self._config.dispatcher)

    def revoked(self) -> None:
        """Partitions went elsewhere: forget what was not started."""
        gone = self._queues.take(lambda waiting: not waiting.ours)
        for waiting in gone + self._waits.take(lambda waiting: not waiting.ours):
            self._settlement.abandon(waiting)

    def stop(self) -> None:
        """Start nothing more. Waits in memory go on in the delay topics."""
        self._stopping = self._waits.closed = True
        now_ms = self._clock.now_ms()
        self._breakers.rest(now_ms)
        begun = self._waits.take(lambda w: w.started)
        for waiting in begun + self._queues.take(lambda w: w.started):
            self._delay(waiting, now_ms)
        self._sources.wake()

    async def finish(self, grace_s: float) -> None:
        """Wait for what runs; at the end of the grace the calls that are left are cut short."""
        await self._tasks.finish(grace_s, self._attempts.abort_all)

    def fail(self, error: BaseException) -> None:
        """A fault of ours: stop at once, so that a successor takes over what is not done."""
        self.failure = self.failure or error
        self._stopping = self._waits.closed = True
        self._sources.wake()
