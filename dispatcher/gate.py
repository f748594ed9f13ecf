"""Between the loop and an upstream with limits: no call without credits.

A shell around `credits`, `costs` and `routes`: it has the clock and tells the metrics.
"""

from collections.abc import Callable, Mapping

from headrace.dispatcher.breakers.board import Breakers
from headrace.dispatcher.costs import Costs, Used
from headrace.dispatcher.credits import Credits, Promise
from headrace.dispatcher.flows import FlowQueues
from headrace.dispatcher.governed import Governed
from headrace.dispatcher.governor.changed import changed
from headrace.dispatcher.governor.holder import Holder
from headrace.dispatcher.governor.timing import Timing
from headrace.dispatcher.metrics import Metrics
from headrace.dispatcher.operated import Operated
from headrace.dispatcher.ports import CallEnd, Clock
from headrace.dispatcher.routes import Routes
from headrace.dispatcher.seats import Seats
from headrace.dispatcher.usage import used_by
from headrace.dispatcher.verdicts import Fail
from headrace.dispatcher.waiting import Waiting
from headrace.schemas.bounds import Unbounded
from headrace.schemas.config.model import Config
from headrace.schemas.errors import Code
from headrace.schemas.journal import ProcessId
from headrace.schemas.names import DeploymentName, ModelName
from headrace.schemas.settings import Limit, Verb


class Gate:
    """The way of one call: open once its credits are spent."""

    def __init__(self, keeper: "Gatekeeper", waiting: Waiting, promise: Promise) -> None:
        self._keeper = keeper
        self._waiting = waiting
        self._promise = promise
        self._closed = False
        self.metered = keeper.counts_tokens(waiting)
        """Whether it matters how many tokens the answer takes."""

    def opens(self) -> bool:
        """The connection is in hand: whether the request may be sent. Spends its credits."""
        return self._keeper.spend(self._promise)

    def cuttable(self, cut: Callable[[], None]) -> None:
        """Call `cut` if the call loses its seat."""
        self._promise.cut = cut

    def settle(self, end: CallEnd) -> None:
        """The call ended so."""
        self._keeper.sent(self._promise, end.spent_s)
        if self.metered:
            self._keeper.settle(self._promise, self._waiting, end)

    def left(self, end: CallEnd) -> None:
        """The call was cancelled; `end` has what was seen of it."""
        if self.metered:
            self._keeper.left(self._promise, self._waiting, end)

    def close(self) -> None:
        """Its seat is free. May come twice."""
        if not self._closed:
            self._closed = True
            self._keeper.close(self._promise)


class Gatekeeper:
    """All gates of one process. Exists only where limits of the fleet are configured."""

    def __init__(
        self,
        config: Config,
        governed: Governed,
        process: ProcessId,
        *,
        seats: Seats,
        breakers: Breakers,
        metrics: Metrics,
        clock: Clock,
        operated: Operated,
    ) -> None:
        self._config = config
        self._operated = operated
        self._governed = governed
        self._breakers = breakers
        self._clock = clock
        self._metrics = metrics
        self._costs = Costs(config.models)
        self._seats = seats
        self.flows = FlowQueues(list(config.lanes), config.dispatcher.lower_lane_share)
        self.routes = Routes(governed, self.flows, seats, breakers.attitude)
        timing = Timing()
        self._guard_s = timing.guard_ms / 1000
        holder = Holder(process, timing, self._mono_ms())
        self.credits = Credits(holder, self.flows, seats, governed)

    def route(self, waiting: Waiting, now_ms: int) -> Fail | None:
        """Put a request that is to be queued into a flow, if its model is governed.

        The answer to one that is larger than a limit wherever it goes, or has no bound where one is needed.
        """
        if waiting.model not in self._governed.models:
            return None
        if waiting.cost is None and self.counts_tokens(waiting):
            record = waiting.record
            cost = self._costs.estimate(waiting.model, record.tenant, waiting.endpoint, record.body)
            if isinstance(cost, Unbounded):
                if any(
                    self._governed.bounds_tokens(flow) for _, flow in self.routes.flows(waiting)
                ):
                    return Fail(Code.REQUEST_UNBOUNDED, cost.value)
                # Only limits that are tried out, or those of others, see it.
                cost = self._costs.expected(
                    waiting.model, record.tenant, waiting.endpoint, record.body
                )
            waiting.cost = cost
        waiting.asked_ms = waiting.asked_ms or now_ms
        # The governor learns of it with the next report, which may be due at once now.
        self.credits.stirred()
        if self.routes.lead(waiting, now_ms):
            return None
        why = f"it is larger than what {waiting.model} may take in a minute"
        return Fail(Code.REQUEST_EXCEEDS_LIMIT, why)

    def limit(self, limits: Mapping[str, Limit]) -> None:
        """Operators changed limits to these."""
        self._governed.set(changed(self._config, limits))

    def counts_tokens(self, waiting: Waiting) -> bool:
        """Whether tokens of its model are limited."""
        return waiting.model in self._governed.counting

    def waited_for(self) -> list[DeploymentName]:
        """Deployments that requests with a flow wait for."""
        return self.flows.deployments()

    def covers(self) -> Callable[[Waiting], bool]:
        """Says of a request, now, whether it may be dispatched: there are a seat and credits."""
        valid = self.credits.valid(self._mono_ms())

        def covered(waiting: Waiting) -> bool:
            flow = waiting.flow
            if flow is None or self._seats.room(flow.deployment, self._governed.part(flow)) <= 0:
                return False
            if flow.deployment in self._seats.closed:
                return False
            if flow.deployment not in self._governed.deployments:
                return True
            return valid and self.credits.covers(waiting)

        return covered

    def lets(self) -> Callable[[Waiting], bool]:
        """Says of a request, now, whether its deployment's breaker lets it pass."""
        now_ms = self._clock.now_ms()

        def lets(waiting: Waiting) -> bool:
            flow = waiting.flow
            return flow is not None and self._breakers.lets(flow.deployment, waiting, now_ms)

        return lets

    def gate(self, waiting: Waiting, now_ms: int) -> Gate | None:
        """The gate of a request that is dispatched; None: it needs none."""
        flow, asked_ms = waiting.flow, waiting.asked_ms
        waiting.asked_ms = 0
        if flow is None or flow.deployment not in self._governed.deployments:
            return None
        self._metrics.limit_wait(flow.deployment, (now_ms - asked_ms) / 1000)
        return Gate(self, waiting, self.credits.promise(waiting))

    def spend(self, promise: Promise) -> bool:
        """See `Gate.opens`."""
        held = self._operated.holding_flow(promise.flow, self._clock.now_ms())
        if held is not None and held.verb is Verb.PAUSE:
            return False
        spent = self.credits.spend(promise, self._mono_ms())
        if not spent:
            self._metrics.credits_refused(promise.flow.deployment)
        return spent

    def sent(self, promise: Promise, after_s: float) -> None:
        """Its first byte left so long after its credits were spent."""
        if after_s > self._guard_s:
            self._metrics.late_send(promise.flow.deployment)

    def settle(self, promise: Promise, waiting: Waiting, end: CallEnd) -> None:
        """See `Gate.settle`."""
        told = used_by(end)
        whole = end.answered and end.status < 300
        model, tenant = waiting.model, waiting.record.tenant
        used = told
        if used is None:
            used = self._costs.guess(model, tenant, promise.units, end.text, whole=whole)
        if used is None:
            return
        self._took(promise, model, used, told=told is not None)
        if told is not None and whole and waiting.cost is not None:
            self._costs.used(model, tenant, waiting.cost, told, end.text.size)

    def left(self, promise: Promise, waiting: Waiting, end: CallEnd) -> None:
        """See `Gate.left`: it counts as reserved, or as what was seen of its text if that is more."""
        model, tenant = waiting.model, waiting.record.tenant
        used = self._costs.guess(model, tenant, promise.units, end.text, whole=False)
        if used is not None:
            self._took(promise, model, used, told=False)

    def close(self, promise: Promise) -> None:
        """See `Gate.close`."""
        self.credits.close(promise, self._mono_ms())

    def _took(self, promise: Promise, model: ModelName, used: Used, *, told: bool) -> None:
        self.credits.settle(promise, used, self._mono_ms())
        if promise.ticket is not None:
            self._metrics.tokens.settled(model, promise.units, used, told=told)

    def _mono_ms(self) -> int:
        return int(self._clock.monotonic() * 1000)
