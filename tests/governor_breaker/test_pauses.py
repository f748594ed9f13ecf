"""Pauses by operators, and rules that are only tried out."""

import pytest

from headrace.dispatcher.governor.pauses import (
    MOST,
    Command,
    Pauses,
    Scope,
    Verb,
    fold,
    in_effect,
)
from headrace.dispatcher.governor.shadow import Shadow
from headrace.schemas.names import DeploymentName, LaneName, Tenant

BATCH, ACME, EAST = LaneName("batch"), Tenant("acme"), DeploymentName("east")
T0 = 1_800_000_000_000


def command(
    verb: Verb, scope: Scope = Scope.LANE, name: str = "batch", at_ms: int = T0, **more: int
) -> Command:
    """An operator's word."""
    return Command(
        verb=verb, scope=scope, name=name, reason="upkeep", by="ann", at_ms=at_ms, **more
    )


def table(*commands: Command) -> Pauses:
    """All of them, one after the other."""
    pauses: Pauses = {}
    for each in commands:
        pauses = fold(pauses, each)
    return pauses


def verb_at(pauses: Pauses, now_ms: int = T0) -> Verb | None:
    """What holds a request of acme on batch for east."""
    found = in_effect(pauses, BATCH, ACME, EAST, now_ms)
    return None if found is None else found.verb


@pytest.mark.parametrize(
    ("scope", "name"),
    [(Scope.LANE, "batch"), (Scope.TENANT, "acme"), (Scope.DEPLOYMENT, "east")],
)
def test_each_scope_can_be_paused(scope: Scope, name: str) -> None:
    assert verb_at(table(command(Verb.PAUSE, scope, name))) is Verb.PAUSE


def test_a_pause_of_one_name_is_none_of_the_same_name_elsewhere() -> None:
    assert verb_at(table(command(Verb.PAUSE, Scope.TENANT, "batch"))) is None


def test_a_pause_ends_by_itself() -> None:
    pauses = table(command(Verb.PAUSE, until_ms=T0 + 1_000))
    assert verb_at(pauses, T0 + 999) is Verb.PAUSE
    assert verb_at(pauses, T0 + 1_000) is None


def test_resume_ends_it_now() -> None:
    assert verb_at(table(command(Verb.PAUSE), command(Verb.RESUME, at_ms=T0 + 1))) is None


def test_the_later_command_on_a_thing_counts() -> None:
    assert verb_at(table(command(Verb.PAUSE), command(Verb.DRAIN, at_ms=T0 + 1))) is Verb.DRAIN


def test_a_pause_goes_before_a_drain() -> None:
    drain, pause = command(Verb.DRAIN), command(Verb.PAUSE, Scope.DEPLOYMENT, "east")
    assert verb_at(table(drain, pause)) is verb_at(table(pause, drain)) is Verb.PAUSE


def test_ended_pauses_are_not_kept() -> None:
    ended = command(Verb.PAUSE, until_ms=T0 + 10)
    assert table(ended, command(Verb.PAUSE, Scope.TENANT, "bolt", T0 + 10)).keys() == {
        (Scope.TENANT, "bolt")
    }
    assert table(command(Verb.PAUSE, at_ms=T0 + 10, until_ms=T0)) == {}


def test_of_too_many_pauses_the_one_that_ends_first_makes_room() -> None:
    pauses = {
        (Scope.TENANT, f"t{n}"): command(Verb.PAUSE, Scope.TENANT, f"t{n}", until_ms=T0 + 9 + n)
        for n in range(MOST)
    }
    after = fold(pauses, command(Verb.PAUSE))
    assert len(after) == MOST
    assert (Scope.TENANT, "t0") not in after


def test_a_rule_in_shadow_mode_counts_and_refuses_nothing() -> None:
    shadow = Shadow()
    assert not shadow.judge("cooldown", refuse=True, shadow=True)
    assert shadow.judge("cooldown", refuse=True, shadow=False)
    assert not shadow.judge("cooldown", refuse=False, shadow=False)
    assert (shadow.would_refuse["cooldown"], shadow.refused["cooldown"]) == (1, 1)
