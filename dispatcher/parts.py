"""Builds the loop of one process, and what it is made of, for the composition root."""

from dataclasses import dataclass

from headrace.dispatcher.arrivals import Arrivals
from headrace.dispatcher.attempt import Attempts
from headrace.dispatcher.breakers.board import Breakers
from headrace.dispatcher.calls import Calls
from headrace.dispatcher.fleet import Fleet
from headrace.dispatcher.gate import Gatekeeper
from headrace.dispatcher.kafka.wiring import Wiring
from headrace.dispatcher.loop import Dispatcher
from headrace.dispatcher.metrics import Metrics
from headrace.dispatcher.operated import Operated
from headrace.dispatcher.overheard import Overheard
from headrace.dispatcher.parking import Parking, ParkingPolicy
from headrace.dispatcher.policy.ambiguous import AmbiguousPolicy
from headrace.dispatcher.ports import Clock, Upstream
from headrace.dispatcher.recovery import Recovery
from headrace.dispatcher.repeats import Repeats
from headrace.dispatcher.seats import Seats
from headrace.dispatcher.settle import Settlement
from headrace.dispatcher.story import Story
from headrace.schemas.config.model import Config
from headrace.schemas.names import Ambiguous
from headrace.telemetry.logs import Log


@dataclass(frozen=True, slots=True)
class Parts:
    """What the loop shares with the rest of the process."""

    config: Config
    kafka: Wiring
    upstream: Upstream
    seats: Seats
    breakers: Breakers
    operated: Operated
    overheard: Overheard
    gates: Gatekeeper | None
    fleet: Fleet
    metrics: Metrics
    clock: Clock
    log: Log


def dispatcher_of(parts: Parts) -> Dispatcher:
    """The loop. Nothing runs yet."""
    config, kafka = parts.config, parts.kafka
    settlement = _settlement(parts)
    ambiguous = AmbiguousPolicy(
        {model: Ambiguous(one.ambiguous) for model, one in config.models.items()}
    )
    recovery = Recovery(
        config,
        journals=kafka.journals,
        chains=kafka.chains,
        settlement=settlement,
        ambiguous=ambiguous,
        metrics=parts.metrics,
    )
    attempts = _attempts(parts, settlement, ambiguous)
    return Dispatcher(
        config,
        sources=kafka.sources,
        attempts=attempts,
        calls=Calls(
            attempts,
            seats=parts.seats,
            breakers=parts.breakers,
            gates=parts.gates,
            sources=kafka.sources,
            clock=parts.clock,
        ),
        settlement=settlement,
        arrivals=Arrivals(
            config,
            recovery=recovery,
            settlement=settlement,
            journals=kafka.journals,
            metrics=parts.metrics,
            clock=parts.clock,
        ),
        recovery=recovery,
        parking=_parking(parts, settlement),
        seats=parts.seats,
        breakers=parts.breakers,
        operated=parts.operated,
        fleet=parts.fleet,
        metrics=parts.metrics,
        clock=parts.clock,
        gates=parts.gates,
    )


def _settlement(parts: Parts) -> Settlement:
    kafka = parts.kafka
    return Settlement(
        topics=kafka.topics,
        outbox=kafka.finals,
        bulk=kafka.bulk,
        replies=kafka.replies,
        states=kafka.states,
        events=kafka.events,
        journals=kafka.journals,
        metrics=parts.metrics,
        ended=kafka.chains.end,
        story=Story(parts.log, parts.clock),
        log=parts.log,
    )


def _parking(parts: Parts, settlement: Settlement) -> Parking:
    limits, deployments = parts.config.dispatcher, parts.config.deployments
    policy = ParkingPolicy(
        after_s=limits.park_after_s,
        behind=limits.park_behind,
        window=limits.partition_window,
        longest_call_ms=round(max(one.timeouts.total_s for one in deployments) * 1000),
    )
    return Parking(
        policy,
        topics=parts.kafka.topics,
        settlement=settlement,
        journals=parts.kafka.journals,
        metrics=parts.metrics,
    )


def _attempts(parts: Parts, settlement: Settlement, ambiguous: AmbiguousPolicy) -> Attempts:
    kafka = parts.kafka
    return Attempts(
        upstream=parts.upstream,
        repeats=Repeats(parts.config.models, lambda: parts.fleet.living),
        replies=kafka.replies,
        settlement=settlement,
        journals=kafka.journals,
        metrics=parts.metrics,
        clock=parts.clock,
        seats=parts.seats,
        directory=kafka.directory,
        ambiguous=ambiguous,
        fleet=parts.fleet,
        breakers=parts.breakers,
        overheard=parts.overheard,
    )
