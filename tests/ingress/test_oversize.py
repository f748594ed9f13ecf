"""What is larger than a limit by its bound is refused before it is queued; nothing is on a guess."""

import json
from typing import Any

import pytest

from headrace.ingress.forecast import Forecast
from headrace.schemas.config.model import Config
from headrace.schemas.limits import Epoch
from headrace.schemas.names import Endpoint, KeyName, LaneName, ModelName, RequestId, Tenant
from headrace.schemas.outlook import FRESH_MS, Level, Outlook, ScopeOutlook
from headrace.schemas.records import RequestRecord

NOW = 1_800_000_000_000
UPSTREAM = {"base_url": "http://127.0.0.1:1/v1"}
LIMITED = {"limits": {"tokens_per_minute": 1_000}}
CI = {"digest": "a" * 64, "name": "ci", **LIMITED}


def forecast(*scopes: ScopeOutlook, **models: Any) -> Forecast:
    sections = {
        "deployments": [
            {"name": "east", "model": "m", "upstream": UPSTREAM, "limits": {"pool": "p"}},
            {"name": "west", "model": "m", "upstream": UPSTREAM},
        ],
        "pools": {"p": LIMITED},
        "tenants": {"acme": {"keys": [CI]}},
        "models": {"m": {"reserve": "hard", **models}},
        "ingress": {"refuse_hopeless": False},
    }
    known = Forecast(Config.model_validate(sections))
    known.take(Outlook(Epoch(1), list(scopes), []), NOW)
    return known


def scope(name: str, limit: int = 1_000, learned: int | None = None) -> ScopeOutlook:
    return ScopeOutlook(name, [Level("total_tokens", limit, 0, learned)], 0)


def request(key: str = "", **more: Any) -> RequestRecord:
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 900}
    return RequestRecord(
        id=RequestId("r"),
        body=json.dumps(body | more).encode(),
        tenant=Tenant("acme"),
        key_name=KeyName(key),
        lane=LaneName("standard"),
        endpoint=Endpoint.CHAT,
        model=ModelName("m"),
    )


@pytest.mark.parametrize(
    ("known", "asked", "code"),
    [
        (forecast(scope("model m")), request(), "request_exceeds_limit"),
        (forecast(scope("pool p"), scope("west")), request(), "request_exceeds_limit"),
        (forecast(scope("tenant acme")), request(), "request_exceeds_limit"),
        (forecast(scope("key acme/ci")), request("ci"), "request_exceeds_limit"),
        (forecast(scope("model m")), request(max_tokens=None), "request_unbounded"),
    ],
)
def test_what_fits_nowhere_is_refused(known: Forecast, asked: RequestRecord, code: str) -> None:
    refusal = known.refusal(asked, NOW)
    assert refusal is not None
    assert (refusal.code, refusal.spec.status) == (code, 400)


@pytest.mark.parametrize(
    ("known", "asked"),
    [
        pytest.param(forecast(scope("model m")), request(max_tokens=9), id="it fits"),
        pytest.param(forecast(scope("pool p")), request(), id="it fits elsewhere"),
        pytest.param(forecast(scope("model m", 5_000)), request(), id="raised by an operator"),
        pytest.param(forecast(scope("model m", 900, 900)), request(), id="learned"),
        pytest.param(forecast(scope("key acme/ci")), request(), id="another key"),
        pytest.param(forecast(scope("tenant bolt")), request(), id="another tenant"),
        pytest.param(forecast(), request(max_tokens=None), id="nothing is told"),
        pytest.param(
            forecast(scope("model m"), limits=LIMITED["limits"] | {"shadow": True}),
            request(),
            id="tried out",
        ),
        pytest.param(forecast(scope("model m"), reserve="estimate"), request(), id="estimated"),
    ],
)
def test_what_dispatchers_might_send_is_not(known: Forecast, asked: RequestRecord) -> None:
    assert known.refusal(asked, NOW) is None


def test_what_was_told_too_long_ago_refuses_nothing() -> None:
    known = forecast(scope("model m"))
    assert known.refusal(request(), NOW + FRESH_MS) is not None
    assert known.refusal(request(), NOW + FRESH_MS + 1) is None
