"""Scopes from a configuration: what a request of a tenant and lane must fit."""

from headrace.dispatcher.governor.configured import policy_of, tree_of
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
  - {name: d, model: m, pool: account, upstream: {base_url: "https://example.com/v1"}}
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
