"""A dispatcher whose surroundings are not there."""

from typing import cast

from prometheus_client import CollectorRegistry

from headrace.dispatcher.arrivals import Arrivals
from headrace.dispatcher.attempt import Attempts
from headrace.dispatcher.breakers.board import Breakers
from headrace.dispatcher.calls import Calls
from headrace.dispatcher.fleet import Fleet
from headrace.dispatcher.kafka.sources import AllSources
from headrace.dispatcher.loop import Dispatcher
from headrace.dispatcher.metrics import Metrics
from headrace.dispatcher.operated import Operated
from headrace.dispatcher.parking import Parking
from headrace.dispatcher.recovery import Recovery
from headrace.dispatcher.seats import Seats
from headrace.dispatcher.settle import Settlement
from headrace.schemas.config.model import Config
from headrace.telemetry.logs import get_log
from support.dispatch import APPENDED_MS, process


class Now:
    """A clock that stands."""

    def now_ms(self) -> int:
        return APPENDED_MS

    def monotonic(self) -> float:
        return 0.0


def dispatcher(settlement: Settlement | None = None, **settings: int) -> Dispatcher:
    """A dispatcher that nothing is asked of but to read, and to keep what it has."""
    upstream = {"base_url": "http://127.0.0.1:1/v1"}
    config = Config.model_validate(
        {
            "dispatcher": settings,
            "deployments": [{"name": "east", "model": "m", "upstream": upstream}],
        }
    )
    return Dispatcher(
        config,
        sources=cast("AllSources", None),
        attempts=cast("Attempts", None),
        calls=cast("Calls", None),
        settlement=settlement or cast("Settlement", None),
        arrivals=cast("Arrivals", None),
        recovery=cast("Recovery", None),
        parking=cast("Parking", None),
        seats=Seats(config.deployments),
        breakers=Breakers(config, process("own")),
        fleet=Fleet(process("own")),
        metrics=Metrics(CollectorRegistry()),
        clock=Now(),
        operated=Operated(get_log()),
    )
