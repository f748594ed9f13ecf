"""Requests that would only wait for their deadline are refused; nothing is refused on a guess."""

from typing import Any

import pytest

from headrace.ingress.answer import put
from headrace.ingress.forecast import Forecast
from headrace.schemas.config.model import Config
from headrace.schemas.limits import Epoch, Flow
from headrace.schemas.names import (
    DeploymentName,
    Endpoint,
    KeyName,
    LaneName,
    ModelName,
    RequestId,
    Tenant,
)
from headrace.schemas.outlook import FlowOutlook, Level, Outlook, ScopeOutlook
from headrace.schemas.records import RequestRecord

T0 = 1_800_000_000_000
STANDARD, ACME, M = LaneName("standard"), Tenant("acme"), ModelName("m")


def forecast(*deployments: str, **ingress: Any) -> Forecast:
    upstream = {"base_url": "http://127.0.0.1:1/v1"}
    named = [
        {"name": name, "model": "m", "upstream": upstream} for name in deployments or ("east",)
    ]
    lanes = ingress.pop("lanes", {"standard": {"deadline_s": 600}})
    return Forecast(
        Config.model_validate({"deployments": named, "lanes": lanes, "ingress": ingress})
    )


def told(wait_s: float, *at: str, epoch: int = 1, scopes: tuple[ScopeOutlook, ...] = ()) -> Outlook:
    flows = [
        FlowOutlook(Flow(DeploymentName(name), STANDARD, ACME), 300, round(wait_s * 1000))
        for name in at or ("east",)
    ]
    return Outlook(Epoch(epoch), list(scopes), flows)


def request(deadline_s: float, **more: Any) -> RequestRecord:
    return RequestRecord(
        id=RequestId("r"),
        body=b"{}",
        tenant=more.pop("tenant", ACME),
        lane=STANDARD,
        endpoint=Endpoint.CHAT,
        model=M,
        deadline_ms=T0 + 2_000 + round(deadline_s * 1000),
        **more,
    )


def seen(*outlooks: Outlook, of: Forecast | None = None) -> Forecast:
    """A record each second; the last one is of two seconds after T0."""
    known = of or forecast()
    for number, outlook in enumerate(outlooks, 3 - len(outlooks)):
        known.take(outlook, T0 + number * 1_000)
    return known


EDF = {"standard": {"deadline_s": 600, "order": "edf"}}
NOW = T0 + 2_000
LONG = told(600)


def test_a_request_that_would_wait_ten_minutes_is_refused_and_told_when_to_come_back() -> None:
    refusal = seen(LONG, LONG, LONG).refusal(request(30), NOW)
    assert refusal is not None
    assert refusal.code == "predicted_wait_exceeds_deadline"
    assert (refusal.spec.status, refusal.retry_after_s) == (429, 120)


@pytest.mark.parametrize(
    ("known", "asked"),
    [
        (seen(LONG, LONG, LONG), request(600)),
        (seen(LONG, LONG), request(30)),
        (seen(LONG, told(10), LONG), request(30)),
        (seen(LONG, LONG, told(600, epoch=2)), request(30)),
        (seen(LONG, LONG, LONG), request(30, tenant=Tenant("bolt"))),
        (seen(LONG, LONG, LONG), request(30, not_before_ms=NOW + 1_000)),
        (seen(LONG, LONG, LONG, of=forecast("east", "west")), request(30)),
        (seen(LONG, LONG, LONG, of=forecast(refuse_hopeless=False)), request(30)),
        (seen(LONG, LONG, LONG, of=forecast(lanes=EDF)), request(30)),
        (seen(told(31), told(31), told(31)), request(30)),
        (seen(), request(30)),
    ],
    ids=[
        *("can_be_met", "two_records_only", "one_says_less", "another_owner", "another_tenant"),
        *("later", "a_free_deployment", "switched_off", "lane_goes_by_deadlines"),
        *("nearly_in_time", "nothing_known"),
    ],
)
def test_nothing_is_refused_that_may_be_answered_in_time(
    known: Forecast, asked: RequestRecord
) -> None:
    assert known.refusal(asked, NOW) is None


def test_a_model_is_refused_where_all_its_deployments_have_long_queues() -> None:
    both = told(600, "east", "west")
    assert seen(both, both, both, of=forecast("east", "west")).refusal(request(30), NOW) is not None


def test_what_is_older_than_five_seconds_refuses_nothing_and_tells_nothing() -> None:
    level = ScopeOutlook("east", [Level("requests", 60, 20)], 41_000)
    one = told(600, scopes=(level,))
    known = seen(one, one, one)
    late = request(30)
    late.deadline_ms += 5_000
    assert known.refusal(late, NOW + 5_000) is not None
    assert known.refusal(late, NOW + 5_001) is None
    assert known.headers(M, ACME, NOW + 5_000)
    assert known.headers(M, ACME, NOW + 5_001) == []


def test_an_owner_that_was_replaced_is_not_believed() -> None:
    known = seen(told(0, epoch=2), told(0, epoch=2), told(0, epoch=2))
    for at_s in (2, 3, 4):
        known.take(told(600, epoch=1), T0 + at_s * 1_000)
    assert known.refusal(request(30), NOW) is None


def test_the_callers_own_limit_is_told_before_the_models() -> None:
    scopes = (
        ScopeOutlook("east", [Level("requests", 60, 20), Level("total_tokens", 900, 950)], 41_000),
        ScopeOutlook("tenant acme", [Level("requests", 6, 4)], 59_500),
    )
    known = seen(told(0, scopes=scopes))
    assert dict(known.headers(M, ACME, NOW)) == {
        b"x-ratelimit-limit-requests": b"6",
        b"x-ratelimit-remaining-requests": b"2",
        b"x-ratelimit-reset-requests": b"59500ms",
        b"x-ratelimit-limit-tokens": b"900",
        b"x-ratelimit-remaining-tokens": b"0",
        b"x-ratelimit-reset-tokens": b"41000ms",
    }
    assert dict(known.headers(M, Tenant("bolt"), NOW))[b"x-ratelimit-limit-requests"] == b"60"


def test_what_the_upstream_says_of_its_own_limits_gives_way() -> None:
    theirs = [(b"x-ratelimit-limit-requests", b"9"), (b"x-other", b"1")]
    ours = [(b"x-ratelimit-limit-requests", b"6")]
    assert put(theirs, []) == theirs
    assert put(theirs, ours) == [(b"x-other", b"1"), *ours]


def test_a_key_with_limits_has_a_wait_and_figures_of_its_own() -> None:
    ci = KeyName("ci")
    scopes = (
        ScopeOutlook("tenant acme", [Level("requests", 6, 4)], 59_500),
        ScopeOutlook("key acme/ci", [Level("requests", 3, 2)], 59_500),
    )
    outlook = told(0, scopes=scopes)
    flow = Flow(DeploymentName("east"), STANDARD, ACME, ci)
    outlook.flows.append(FlowOutlook(flow, 300, 600_000))
    known = seen(outlook, outlook, outlook)
    assert known.refusal(request(30, key_name=ci), NOW) is not None
    assert known.refusal(request(30), NOW) is None
    left = b"x-ratelimit-remaining-requests"
    assert dict(known.headers(M, ACME, NOW, ci))[left] == b"1"
    assert dict(known.headers(M, ACME, NOW))[left] == b"2"
