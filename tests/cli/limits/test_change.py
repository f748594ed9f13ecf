"""What may be changed of limits, and what `limits show` tells of it."""

import io
import re
from typing import Any

import pytest
from rich.console import Console

from headrace.cli.limits.change import proposed, scope_named
from headrace.cli.limits.show import as_tables, collected
from headrace.cli.settings.errors import Refused
from headrace.dispatcher.governor.changed import changed
from headrace.dispatcher.governor.configured import tree_of
from headrace.schemas import settings
from headrace.schemas.config.model import Config
from headrace.schemas.limits import Epoch, Flow
from headrace.schemas.names import DeploymentName, KeyName, LaneName, Tenant
from headrace.schemas.outlook import FlowOutlook, Level, Outlook, ScopeOutlook
from headrace.schemas.settings import FOREVER_MS, Limit, Pause, Scope, Settings, Verb

UPSTREAM = {"base_url": "http://127.0.0.1:1/v1"}
CI = {"digest": "a" * 64, "name": "ci", "limits": {"requests_per_minute": 4}}
T0 = 1_800_000_000_000


def config(**more: Any) -> Config:
    east = {"requests_per_minute": 60, "tokens_per_minute": 9_000, "input_tokens_per_minute": 8_000}
    return Config.model_validate(
        {
            "deployments": [
                {
                    "name": "east",
                    "model": "m",
                    "upstream": UPSTREAM,
                    "limits": {**east, "pool": "p"},
                },
                {"name": "west", "model": "m", "upstream": UPSTREAM},
            ],
            "pools": {"p": {"limits": {"requests_per_minute": 100, "concurrency": 8}}},
            "models": {"m": {"limits": {"requests_per_minute": 90}}},
            "tenants": {"acme": {"limits": {"requests_per_minute": 6}, "keys": ["b" * 64, CI]}},
            "lanes": {"standard": {"deadline_s": 60, "reserve": 0.5}, "batch": {"deadline_s": 60}},
            **more,
        }
    )


def caps(of: Config) -> dict[str, int | None]:
    return {scope.name: scope.caps.requests for scope in tree_of(of).scopes}


def test_a_change_reaches_the_scope_and_what_lanes_leave_of_it() -> None:
    limits = {
        name: Limit(version=1, scope=name, requests_per_minute=amount)
        for name, amount in (
            ("east", 20),
            ("pool p", 40),
            ("model m", 30),
            ("tenant acme", 2),
            ("key acme/ci", 1),
        )
    }
    before, after = caps(config()), caps(changed(config(), limits))
    assert [after[name] for name in limits] == [20, 40, 30, 2, 1]
    assert after["east for batch"] == 10
    assert after.keys() == before.keys()
    assert caps(changed(config(), {})) == before


def test_what_the_configuration_does_not_limit_stays_without_a_limit() -> None:
    limits = {
        "west": Limit(version=1, scope="west", requests_per_minute=1),
        "gone": Limit(version=1, scope="gone", requests_per_minute=1),
        "pool p": Limit(version=1, scope="pool p", tokens_per_minute=1),
    }
    assert tree_of(changed(config(), limits)) == tree_of(config())


@pytest.mark.parametrize(
    ("word", "scope"),
    [
        *(("east", "east"), ("pool:p", "pool p"), ("model:m", "model m")),
        *(("tenant:acme", "tenant acme"), ("tenant acme", "tenant acme")),
        ("key:acme/ci", "key acme/ci"),
    ],
)
def test_scopes_are_named_as_in_the_configuration(word: str, scope: str) -> None:
    assert scope_named(config(), word) == scope


@pytest.mark.parametrize("word", ["west", "pool:x", "acme", "", "eats"])
def test_what_has_no_limits_cannot_be_named(word: str) -> None:
    with pytest.raises(Refused, match="nothing that has limits"):
        scope_named(config(), word)


@pytest.mark.parametrize(
    ("scope", "rates", "says"),
    [
        ("east", {"requests_per_minute": 101}, "above that of the pool p, 100"),
        ("east", {"requests_per_minute": 95}, "above that of the model m, 90"),
        ("east", {"tokens_per_minute": 7_999}, "above tokens_per_minute, 7999"),
        ("key acme/ci", {"requests_per_minute": 7}, "above that of the tenant acme, 6"),
        ("east", {"requests_per_minute": 0}, "lets nothing through"),
        ("east", {"concurrency": 5}, "has no such limit"),
        ("east", {"requests_per_minute": 10**13}, "requests_per_minute"),
    ],
)
def test_limits_that_contradict_are_refused(
    scope: str, rates: dict[str, int | None], says: str
) -> None:
    with pytest.raises(Refused, match=says):
        proposed(config(), {}, scope, rates)


def test_a_whole_may_be_lowered_below_its_parts_and_other_changes_stay() -> None:
    now = {"pool p": Limit(version=3, scope="pool p", concurrency=2)}
    limit = proposed(config(), now, "pool p", {"requests_per_minute": 10, "concurrency": None})
    assert limit.rates() == {"requests_per_minute": 10, "concurrency": 2}


@pytest.mark.parametrize(
    ("kept_until_ms", "until_ms"),
    [(FOREVER_MS, T0 + 600_000), (T0 + 600_000, FOREVER_MS), (T0 + 600_000, T0 + 700_000)],
)
def test_a_limit_that_is_not_named_keeps_its_end(kept_until_ms: int, until_ms: int) -> None:
    """After `--concurrency 5 --for 10m` a limit ended that had been set for good."""
    kept = Limit(version=1, scope="pool p", requests_per_minute=50, until_ms=kept_until_ms)
    with pytest.raises(Refused, match=r"pool:p has requests_per_minute 50 .* name these as well"):
        proposed(config(), {"pool p": kept}, "pool p", {"concurrency": 5}, until_ms)
    both = {"concurrency": 5, "requests_per_minute": 50}
    assert proposed(config(), {"pool p": kept}, "pool p", both, until_ms).rates() == both
    named = {"requests_per_minute": 40}
    assert proposed(config(), {"pool p": kept}, "pool p", named, until_ms).rates() == named


def test_a_lowered_whole_stands_against_changes_of_the_same_limit_alone() -> None:
    """Nothing of its deployments could be changed any more."""
    now = {"pool p": Limit(version=1, scope="pool p", requests_per_minute=10)}
    assert proposed(config(), now, "east", {"tokens_per_minute": 8_500}).rates()
    with pytest.raises(Refused, match="above that of the pool p, 10"):
        proposed(config(), now, "east", {"requests_per_minute": 20})
    with pytest.raises(Refused, match="above tokens_per_minute, 7000"):
        proposed(config(), now, "east", {"tokens_per_minute": 7_000})


def test_show_tells_limits_pauses_and_queues() -> None:
    known = Settings()
    for setting in (
        Limit(version=2, scope="east", requests_per_minute=20),
        Pause(version=1, verb=Verb.DRAIN, scope=Scope.LANE, name="batch", by="ann"),
    ):
        known.take(settings.key_of(setting, "n"), settings.encode(setting), T0)
    flow = Flow(DeploymentName("east"), LaneName("batch"), Tenant("acme"), KeyName("ci"))
    outlook = Outlook(
        Epoch(4),
        [ScopeOutlook("east", [Level("requests", 15, 12, 15)], 1_000)],
        [FlowOutlook(flow, 12, 34_560)],
    )
    found = collected(config(), known, outlook, T0)
    rows = {(one["scope"], one["limit"]): one for one in found["limits"]}  # type: ignore[attr-defined]
    east = rows["east", "requests_per_minute"]
    names = ("configured", "changed", "learned", "in_force", "used", "version")
    assert [east[name] for name in names] == [60, 20, 15, 15, 12, 2]
    assert rows["pool p", "concurrency"]["used"] is None
    assert rows["key acme/ci", "requests_per_minute"]["configured"] == 4
    printed = io.StringIO()
    as_tables(found, known, Console(file=printed, width=200), T0)
    text = printed.getvalue()
    assert "drain" in text
    assert re.search(r"acme +ci +12 +34.6 s", text)
    as_tables(collected(config(), known, None, T0), known, Console(file=printed, width=200), T0)
    assert "No governor tells" in printed.getvalue()
