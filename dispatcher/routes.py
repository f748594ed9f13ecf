"""Route first, then ask: the one deployment whose credits a request waits for. No I/O."""

from collections.abc import Callable, Iterator
from typing import Final

from headrace.dispatcher.flows import LOOKED_AT, FlowQueues
from headrace.dispatcher.governed import Governed
from headrace.dispatcher.seats import Seats
from headrace.dispatcher.waiting import Waiting
from headrace.schemas.config.model import DeploymentConfig
from headrace.schemas.limits import Flow, Units
from headrace.schemas.names import DeploymentName

MOVE_MS: Final = 500
"""What is not granted within this time may be asked for at another deployment of the model."""

Choice = tuple[DeploymentConfig, Flow, Units]
Attitude = Callable[[DeploymentName, Waiting, int], int]
"""Of a deployment's breaker to a request now: -1: it looks for one to try, 0, 3: it is refused."""


class Routes:
    """Puts requests into flows."""

    def __init__(
        self,
        governed: Governed,
        flows: FlowQueues,
        seats: Seats,
        attitude: Attitude = lambda _name, _waiting, _now_ms: 0,
    ) -> None:
        self._attitude = attitude
        self._governed = governed
        self._flows = flows
        self._seats = seats

    def lead(self, waiting: Waiting, now_ms: int) -> bool:
        """Give a request of a governed model its flow: False if it fits the limits of no deployment.

        Deployments that asked to be left alone, or that it was sent to, come last; one that comes back
        without a call stays where it was.
        """
        if (
            waiting.flow is not None
            and self._avoided(waiting, now_ms, waiting.flow.deployment) <= 0
        ):
            return True
        choices = list(self._choices(waiting))
        if not choices:
            return False
        best = min(
            choices,
            key=lambda one: (self._avoided(waiting, now_ms, one[0].name), self._load(one[0])),
        )
        self._put(waiting, best, now_ms)
        return True

    def fits(self, waiting: Waiting, deployment: DeploymentName) -> bool:
        """Whether a request fits the limits of this deployment of its model."""
        return any(one.name == deployment for one, _, _ in self._choices(waiting))

    def move(self, now_ms: int) -> None:
        """Let requests that wait for too long at one deployment wait at another with a shorter queue."""
        for name in self._flows.deployments():
            for flow in self._flows.flows(name):
                for waiting in self._flows.first(flow, LOOKED_AT):
                    if now_ms - waiting.routed_ms >= MOVE_MS:
                        self._try_to_move(waiting, flow, now_ms)

    def _try_to_move(self, waiting: Waiting, flow: Flow, now_ms: int) -> None:
        waiting.routed_ms = now_ms
        deployments = self._seats.of(waiting.model)
        if len(deployments) < 2:
            return
        here = next(one for one in deployments if one.name == flow.deployment)
        others = [
            one
            for one in self._choices(waiting)
            if one[0] is not here
            and self._seats.room(one[0].name) > 0
            and self._avoided(waiting, now_ms, one[0].name) <= 0
        ]
        best = min(others, key=lambda one: self._queue(one[0], 1), default=None)
        if best is not None and self._queue(best[0], 1) <= self._queue(here, 0):
            self._flows.remove(waiting)
            self._put(waiting, best, now_ms)
            self._flows.push(waiting)

    def flows(self, waiting: Waiting) -> Iterator[tuple[DeploymentConfig, Flow]]:
        """The deployments of its model, and the flow that it would have at each."""
        tenant = waiting.record.tenant
        key = self._governed.key(tenant, waiting.record.key_name)
        for one in self._seats.of(waiting.model):
            yield one, Flow(one.name, waiting.lane, tenant, key)

    def _choices(self, waiting: Waiting) -> Iterator[Choice]:
        for one, flow in self.flows(waiting):
            fitted = self._governed.fitted(flow, waiting.cost)
            if fitted is not None:
                yield one, flow, fitted

    def _put(self, waiting: Waiting, choice: Choice, now_ms: int) -> None:
        _, waiting.flow, waiting.units = choice
        waiting.routed_ms = now_ms

    def _avoided(self, waiting: Waiting, now_ms: int, deployment: DeploymentName) -> int:
        """-1: first of all, 0: gladly, 1: it was tried there, 2: it may not go there yet, 3: nobody may.

        4: an operator has closed it.
        """
        if deployment in self._seats.closed:
            return 4
        attitude = self._attitude(deployment, waiting, now_ms)
        if attitude > 0 or not waiting.history:
            return attitude
        if waiting.barred.get(deployment, 0) > now_ms:
            return 2
        return int(deployment in waiting.tried)

    def _load(self, one: DeploymentConfig) -> float:
        return (self._seats.in_use[one.name] + self._flows.waiting(one.name)) / one.weight

    def _queue(self, one: DeploymentConfig, more: int) -> float:
        return (self._flows.waiting(one.name) + more) / one.weight
