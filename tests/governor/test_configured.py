"""Scopes from a configuration: what a request of a tenant and lane must fit."""

from headrace.dispatcher.governor.configured import policy_of, tree_of
from headrace.dispatcher.governor.learning.seats import SeatsPolicy
from headrace.dispatcher.governor.tree import Caps
from headrace.schemas.config.load import parse
from headrace.schemas.config.model import Config
from support.limits import flow

TEXT = """
lanes:
  interactive: {deadline_s: 60, reserve: 0.2}
  standard: {deadline_s: 60, reserve: 0.1}
  batch: {deadline_s: 60}
pools: {account: {limits: {requests_per_minute: 100}}}
tenants: {t: {weight: 3, limits: {tokens_per_minute: 50}}}
deployments:
  - {name: d, model: m, limits: {pool: account}, upstream: {base_url: "https://example.com/v1"}}
  - {name: e, model: m, upstream: {base_url: "https://example.com/v1"}}
"""


def read() -> Config:
    return parse(TEXT, "headrace.yaml", {}, str)


def caps(lane: str, tenant: str = "t", deployment: str = "d") -> list[Caps]:
    of = flow(tenant, lane=lane, deployment=deployment)
    return [scope.caps for scope in tree_of(read()).scopes if scope.holds(of)]


def test_each_lane_leaves_to_others_what_they_reserve() -> None:
    share = Caps(total_tokens=50)
    assert caps("interactive") == [Caps(100), Caps(90), share]
    assert caps("standard") == [Caps(100), Caps(80), share]
    assert sorted(one.requests or 0 for one in caps("batch")) == [0, 70, 80, 90, 100]


def test_a_deployment_without_limits_is_no_scope() -> None:
    assert caps("batch", "u", "e") == []


def test_tenants_have_their_weights() -> None:
    policy = policy_of(read())
    assert (policy.lanes, dict(policy.weights)) == (("interactive", "standard", "batch"), {"t": 3})


def test_calls_at_a_time_are_limited_for_deployments_models_pools_and_tenants() -> None:
    text = TEXT.replace("requests_per_minute: 100", "concurrency: 40").replace(
        "tokens_per_minute: 50", "concurrency: 3"
    )
    text += "models: {m: {limits: {concurrency: 20}}}\n"
    text = text.replace("pool: account", "pool: account, concurrency: 10")
    scopes = tree_of(parse(text, "headrace.yaml", {}, str)).scopes
    of = flow("t", lane="interactive")
    whole = [scope for scope in scopes if scope.holds(of) and scope.lanes is None]
    assert [(scope.name, scope.caps.seats) for scope in whole] == [
        ("pool account", 40),
        ("model m", 20),
        ("d", 10),
        ("tenant t", 3),
    ]


def test_a_tenant_may_own_a_part_beside_a_lane() -> None:
    text = TEXT.replace("weight: 3,", "reserve: 0.4,").replace("reserve: 0.1", "reserve: 0")
    scopes = tree_of(parse(text, "headrace.yaml", {}, str)).scopes

    def left(lane: str, tenant: str) -> int:
        holding = [one for one in scopes if one.holds(flow(tenant, lane=lane))]
        return min(one.caps.requests for one in holding if one.caps.requests is not None)

    lefts = [left(lane, tenant) for lane in ("interactive", "batch") for tenant in "tu"]
    assert lefts == [100, 60, 80, 40]


def test_seats_that_are_learned_are_bounded_by_what_is_configured() -> None:
    limits = "concurrency: 6, adaptive: true, adaptive_least: 2, adaptive_tolerance: 3"
    text = TEXT.replace("pool: account", f"pool: account, {limits}")
    text += "governor: {shadow: [learned_seats]}\n"
    scopes = tree_of(parse(text, "headrace.yaml", {}, str)).scopes
    (scope,) = [one for one in scopes if one.adaptive is not None]
    assert scope.name == "d"
    assert scope.adaptive == SeatsPolicy(first=6, least=2, most=6, tolerance=3, shadow=True)


def test_a_key_has_limits_within_its_tenants() -> None:
    digest = "a" * 64
    key = f"keys: [{{digest: {digest}, name: ci, limits: {{requests_per_minute: 7}}}}]"
    scopes = tree_of(
        parse(TEXT.replace("weight: 3", f"{key}, weight: 3"), "headrace.yaml", {}, str)
    ).scopes
    own = [one.name for one in scopes if one.tenants and one.holds(flow(deployment="e", key="ci"))]
    rest = [one.name for one in scopes if one.tenants and one.holds(flow(deployment="e"))]
    assert (own, rest) == (["tenant t", "key t/ci"], ["tenant t"])
    assert not any(one.holds(flow("u", deployment="e", key="ci")) for one in scopes)
