"""A call that leaves later than the guard allows for may be counted elsewhere: that is told."""

import pytest
from prometheus_client import CollectorRegistry

from headrace.dispatcher.breakers.board import Breakers
from headrace.dispatcher.credits import Promise
from headrace.dispatcher.gate import Gate, Gatekeeper
from headrace.dispatcher.governed import Governed
from headrace.dispatcher.governor.timing import Timing
from headrace.dispatcher.metrics import Metrics
from headrace.dispatcher.operated import Operated
from headrace.dispatcher.ports import CallEnd
from headrace.dispatcher.seats import Seats
from headrace.schemas.config.model import Config
from headrace.schemas.limits import Flow, Units
from headrace.schemas.names import DeploymentName, LaneName, Tenant
from headrace.telemetry.logs import get_log
from support.attempting import Now
from support.dispatch import process, waiting

EAST = DeploymentName("east")
GUARD_S = Timing().guard_ms / 1000
LIMITED = {
    "name": EAST,
    "model": "m",
    "upstream": {"base_url": "http://127.0.0.1:1/v1"},
    "limits": {"requests_per_minute": 60},
}


@pytest.mark.parametrize(
    ("after_s", "late"), [(0.0, None), (GUARD_S, None), (GUARD_S + 0.001, 1.0)]
)
def test_a_call_that_left_beyond_the_guard_is_counted(after_s: float, late: float | None) -> None:
    config, registry = Config.model_validate({"deployments": [LIMITED]}), CollectorRegistry()
    keeper = Gatekeeper(
        config,
        Governed(config),
        process("own"),
        seats=Seats(config.deployments),
        breakers=Breakers(config, process("own")),
        metrics=Metrics(registry),
        clock=Now(),
        operated=Operated(get_log()),
    )
    promise = Promise(Flow(EAST, LaneName("standard"), Tenant("acme")), Units(1), 0)
    Gate(keeper, waiting(), promise).settle(CallEnd(status=200, spent_s=after_s))
    labels = {"deployment": EAST}
    assert registry.get_sample_value("headrace_late_sends_total", labels) == late
