"""Where a request may go now, and what becomes of one that may go nowhere. No I/O; `now_ms` is broker time.

How it works. A request is sent to a deployment of its model with a free seat whose breaker lets it. Where
breakers refuse it everywhere it is put off until the first of them may let it, and keeps its attempts: a
queue that lasts needs no error for that. Of a half-open deployment's requests a few stay in the queue, to
go with the probes.
"""

from collections import Counter
from collections.abc import Callable
from typing import Final

from headrace.dispatcher.breakers.board import Breakers, failed_there, refuses
from headrace.dispatcher.breakers.switch import AGAIN_MS, OBEYED, Switch
from headrace.dispatcher.seats import Seats
from headrace.dispatcher.waiting import Waiting
from headrace.schemas.breakers import State
from headrace.schemas.names import DeploymentName, ModelName

CANDIDATES: Final = 16
"""Requests that wait for a probe in the queue; the others would keep the lane from reading on."""


Fits = Callable[[Waiting, DeploymentName], bool]


class Placing:
    """Seats, breakers, and what a request has been told itself."""

    def __init__(self, seats: Seats, breakers: Breakers, fits: Fits | None = None) -> None:
        """`fits` tells whether a request fits the limits of a deployment; None: there are none."""
        self._seats = seats
        self._breakers = breakers
        self._fits = fits

    def free(self, model: ModelName, now_ms: int) -> DeploymentName | None:
        """A deployment that the next request of a model can probably go to."""
        return self._seats.free(model, self._breakers.shut(model, now_ms))

    def place(self, waiting: Waiting, first: DeploymentName, now_ms: int) -> DeploymentName | None:
        """Where this one goes; `first`, unless it was tried there, or is refused."""
        if not waiting.history and not self._breakers.irregular:
            return first
        barred = waiting.barred_at(now_ms)
        for probing in self._breakers.probing(waiting.model, now_ms):
            if probing in self._seats.closed:
                continue
            if probing not in barred and self._seats.room(probing) > 0:
                return probing
        refusing = self._breakers.refusing(waiting, now_ms)
        return self._seats.again(waiting.model, waiting.tried, barred | refusing)

    def until_ms(self, waiting: Waiting, now_ms: int) -> int:
        """When a request that breakers refuse should look again; 0: only seats are wanting."""
        irregular = self._breakers.irregular
        if not irregular:
            return 0
        soonest: list[int] = []
        for name in self._breakers.of(waiting.model):
            if name in self._seats.closed or not self._may_fit(waiting, name):
                continue
            switch = irregular.get(name)
            until_ms = max(waiting.barred.get(name, 0), now_ms)
            if switch is not None and refuses(switch, waiting, now_ms):
                until_ms = max(until_ms, self._again_ms(waiting, switch.until_ms(now_ms), now_ms))
            soonest.append(until_ms)
        return min(soonest, default=0) if min(soonest, default=0) > now_ms else 0

    def stuck(self, now_ms: int) -> Callable[[Waiting], bool]:
        """Tells which requests should not wait in their queues now; to be used once."""
        irregular = self._breakers.irregular
        if not irregular:
            return _never
        kept: Counter[DeploymentName | ModelName] = Counter()

        def stuck(waiting: Waiting) -> bool:
            names = self._breakers.of(waiting.model)
            if waiting.flow is not None:
                names = [waiting.flow.deployment]
            # What is paused holds its queue by itself.
            names = [name for name in names if name not in self._seats.closed]
            switches = [irregular.get(name) for name in names]
            if not names or any(one is None or _calls(one, waiting, now_ms) for one in switches):
                return False
            if any(one is not None and one.state is State.HALF_OPEN for one in switches):
                kept[names[0]] += 1
                return kept[names[0]] > CANDIDATES
            return True

        return stuck

    def _may_fit(self, waiting: Waiting, deployment: DeploymentName) -> bool:
        return self._fits is None or self._fits(waiting, deployment)

    @staticmethod
    def _again_ms(waiting: Waiting, until_ms: int, now_ms: int) -> int:
        """A time that is a guess is never later than the request's deadline, which ends it then."""
        if until_ms - now_ms > AGAIN_MS:
            return until_ms
        return min(until_ms, max(now_ms + 1, waiting.deadline_ms - 1))


def _never(_waiting: Waiting) -> bool:
    return False


def _calls(switch: Switch, waiting: Waiting, now_ms: int) -> bool:
    """Whether a request may stay in its queue: a refusal of this process's own is over in a moment, but not
    for one that failed there.
    """
    if failed_there(switch, waiting, now_ms):
        return False
    return switch.state not in OBEYED or switch.lets(waiting.id, now_ms)
