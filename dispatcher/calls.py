"""A call from the decision to make it until its seat is free: what it takes, and gives back."""

from collections.abc import Coroutine

from headrace.dispatcher.aftermath import Again
from headrace.dispatcher.attempt import Attempts, Back
from headrace.dispatcher.breakers.board import Breakers
from headrace.dispatcher.gate import Gatekeeper
from headrace.dispatcher.ports import Clock, Sources
from headrace.dispatcher.seats import Seats
from headrace.dispatcher.waiting import Waiting
from headrace.schemas.names import DeploymentName


class Calls:
    """Seats, credits and probes are taken before anything else is decided."""

    def __init__(
        self,
        attempts: Attempts,
        *,
        seats: Seats,
        breakers: Breakers,
        gates: Gatekeeper | None,
        sources: Sources,
        clock: Clock,
    ) -> None:
        self._attempts = attempts
        self._seats = seats
        self._breakers = breakers
        self._gates = gates
        self._sources = sources
        self._clock = clock

    def begin(
        self, waiting: Waiting, deployment: DeploymentName, *, again: Again, back: Back
    ) -> Coroutine[None, None, None]:
        """Take what a call of `deployment` needs, now; what is returned makes it. See `Attempts.run`."""
        self._seats.take(deployment)
        gates = self._gates
        gate = gates.gate(waiting, self._clock.now_ms()) if gates is not None else None
        watch = self._breakers.watch(deployment, waiting, self._clock)

        def freed() -> None:
            self._seats.give_back(deployment)
            if watch is not None:
                watch.close()
            if gate is not None:
                gate.close()
            self._sources.wake()

        return self._attempts.run(
            waiting, deployment, freed=freed, again=again, back=back, gate=gate, watch=watch
        )
