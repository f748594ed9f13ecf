"""The paths that the chart and docker-compose.yml probe, asked of the code while Kafka is away."""

import itertools
from pathlib import Path

import httpx
import pytest
from deploy.rendered import config_of
from deploy.value_sets import OPEN
from prometheus_client import CollectorRegistry

from headrace.ingress.policy import admission_policy
from headrace.ingress.refusal import Refusal
from headrace.ingress.web import web_app
from headrace.schemas.errors import Code
from headrace.schemas.names import RequestId
from headrace.telemetry.probe import Probe
from support.chart import render

EXPECTED = {"startupProbe": 200, "livenessProbe": 200, "readinessProbe": 503}


def paths(role: str) -> dict[str, str]:
    container = render(OPEN).pod(role).container
    return {name: container[name]["httpGet"]["path"] for name in EXPECTED}


async def test_an_ingress_without_kafka_is_unready_but_not_killed(tmp_path: Path) -> None:
    trouble = Refusal(Code.KAFKA_UNAVAILABLE, "No broker answers.")
    numbers = itertools.count()
    policy = admission_policy(config_of(render(OPEN), "ingress", tmp_path))
    app = web_app(policy, lambda: trouble, lambda: RequestId(str(next(numbers))), "0")
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://ingress") as client:
        answers = {
            name: (await client.get(path)).status_code for name, path in paths("ingress").items()
        }
    assert answers == EXPECTED


def test_a_dispatcher_without_kafka_is_unready_but_not_killed() -> None:
    probe = Probe("127.0.0.1:0", CollectorRegistry(), lambda: [Code.KAFKA_UNAVAILABLE])
    answers = {name: probe._answer(path)[0] for name, path in paths("dispatcher").items()}
    assert answers == EXPECTED


@pytest.mark.parametrize("path", ["/livez", "/readyz"])
def test_a_dispatcher_that_works_passes_its_probes(path: str) -> None:
    assert Probe("127.0.0.1:0", CollectorRegistry(), list)._answer(path)[0] == 200
