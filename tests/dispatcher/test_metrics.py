"""What an operator is told about deployments whose key or account is refused."""

import pytest
from prometheus_client import CollectorRegistry

from headrace.dispatcher.metrics import Metrics
from headrace.dispatcher.ports import CallEnd
from headrace.schemas.names import DeploymentName

EAST = DeploymentName("east")
BILLING = b'{"error":{"code":"insufficient_quota"}}'


@pytest.mark.parametrize(
    ("end", "refusals"),
    [
        (CallEnd(status=401), 1),
        (CallEnd(status=402), 1),
        (CallEnd(status=403), 1),
        (CallEnd(status=429, body=BILLING), 1),
        (CallEnd(status=429), None),
        (CallEnd(status=400), None),
        (CallEnd(status=200), None),
    ],
)
def test_a_refused_credential_is_counted(end: CallEnd, refusals: int | None) -> None:
    registry = CollectorRegistry()
    Metrics(registry).called(EAST, end, 0.1)
    labels = {"deployment": EAST}
    assert registry.get_sample_value("headrace_credential_refusals_total", labels) == refusals
