"""Pauses by operators, and rules that are only tried out."""

import pytest

from headrace.dispatcher.governor.pauses import in_effect, pauses_of
from headrace.dispatcher.governor.shadow import Shadow
from headrace.schemas.names import DeploymentName, LaneName, Tenant
from headrace.schemas.settings import FOREVER_MS, Pause, Scope, Verb

BATCH, ACME, EAST = LaneName("batch"), Tenant("acme"), DeploymentName("east")
T0 = 1_800_000_000_000


def pause(
    verb: Verb, scope: Scope = Scope.LANE, name: str = "batch", until_ms: int = FOREVER_MS
) -> Pause:
    """An operator's word."""
    return Pause(version=1, verb=verb, scope=scope, name=name, until_ms=until_ms)


def verb_at(*pauses: Pause, now_ms: int = T0, at: DeploymentName | None = EAST) -> Verb | None:
    """What holds a request of acme on batch for east."""
    found = in_effect(pauses_of(pauses), BATCH, ACME, at, now_ms)
    return None if found is None else found.verb


@pytest.mark.parametrize(
    ("scope", "name"),
    [(Scope.LANE, "batch"), (Scope.TENANT, "acme"), (Scope.DEPLOYMENT, "east")],
)
def test_each_scope_can_be_paused(scope: Scope, name: str) -> None:
    assert verb_at(pause(Verb.PAUSE, scope, name)) is Verb.PAUSE


def test_a_pause_of_one_name_is_none_of_the_same_name_elsewhere() -> None:
    assert verb_at(pause(Verb.PAUSE, Scope.TENANT, "batch")) is None


def test_a_pause_ends_by_itself() -> None:
    one = pause(Verb.PAUSE, until_ms=T0 + 1_000)
    assert verb_at(one, now_ms=T0 + 999) is Verb.PAUSE
    assert verb_at(one, now_ms=T0 + 1_000) is None


def test_a_pause_goes_before_a_drain() -> None:
    drain, stop = pause(Verb.DRAIN), pause(Verb.PAUSE, Scope.DEPLOYMENT, "east")
    assert verb_at(drain, stop) is verb_at(stop, drain) is Verb.PAUSE


def test_a_paused_deployment_does_not_keep_a_request_from_going_elsewhere() -> None:
    assert verb_at(pause(Verb.PAUSE, Scope.DEPLOYMENT, "east"), at=None) is None


def test_a_rule_in_shadow_mode_counts_and_refuses_nothing() -> None:
    shadow = Shadow()
    assert not shadow.judge("cooldown", refuse=True, shadow=True)
    assert shadow.judge("cooldown", refuse=True, shadow=False)
    assert not shadow.judge("cooldown", refuse=False, shadow=False)
    assert (shadow.would_refuse["cooldown"], shadow.refused["cooldown"]) == (1, 1)
