"""What a change of limits would make of the configuration, and whether it may be made; pure."""

from collections.abc import Mapping

import msgspec

from headrace.cli.dlq.when import shown
from headrace.cli.settings.errors import Refused
from headrace.dispatcher.governor.changed import changed
from headrace.schemas.config.errors import did_you_mean
from headrace.schemas.config.finding import Finding
from headrace.schemas.config.keypath import KeyPath
from headrace.schemas.config.limit_agreement import limits_agree
from headrace.schemas.config.limits import SHARED, Limits
from headrace.schemas.config.model import Config
from headrace.schemas.config.scopes import amounts, limits_of
from headrace.schemas.names import KeyName, Tenant
from headrace.schemas.settings import FOREVER_MS, Limit

KINDS = ("pool", "model", "tenant", "key")


def scope_named(config: Config, word: str) -> str:
    """The governor's name of a scope that an operator wrote: `east`, `pool:account`, `tenant acme`.

    Errors: `Refused`.
    """
    known = limits_of(config)
    kind, colon, name = word.partition(":")
    if word in known:
        return word
    if colon and kind in KINDS and f"{kind} {name}" in known:
        return f"{kind} {name}"
    names = [_written(one) for one in known]
    message = f"nothing that has limits is called {word}" + did_you_mean(word, names)
    raise Refused(f"{message}; there are: {', '.join(names) or 'none'}")


def proposed(
    config: Config,
    now: Mapping[str, Limit],
    scope: str,
    rates: Mapping[str, int | None],
    until_ms: int = FOREVER_MS,
) -> Limit:
    """The change of `rates` on top of what is changed `now`, to end at `until_ms`. Errors: `Refused`."""
    told = {name: amount for name, amount in rates.items() if amount is not None}
    configured = amounts(limits_of(config)[scope])
    for name, amount in told.items():
        if amount < 1:
            raise Refused(f"{name}: a limit of {amount} lets nothing through; pause it instead")
        if configured[name] is None:
            message = f"{name}: {_written(scope)} has no such limit in the configuration"
            raise Refused(f"{message}; give it one there first, as high as you like")
    kept = now[scope].rates() if scope in now else {}
    others = {name: amount for name, amount in kept.items() if name not in told}
    if others and now[scope].until_ms != until_ms:
        raise Refused(_ends_otherwise(now[scope], others))
    try:
        limit = msgspec.convert({"scope": scope, "version": 1, **kept, **told}, Limit | None)
    except msgspec.ValidationError as error:
        raise Refused(str(error)) from error
    assert limit is not None  # noqa: S101 - a mapping is no null
    before = set(_findings(changed(config, now), scope))
    for finding in _findings(changed(config, {**now, scope: limit}), scope):
        # A whole that was lowered below its parts stands against changes of these alone.
        if finding.path[-1] in told or finding not in before:
            raise Refused(f"{finding.path[-1]} of {_written(scope)} {finding.message}")
    return limit


def _ends_otherwise(now: Limit, others: Mapping[str, int]) -> str:
    """All changes of a scope are one setting, which ends as a whole."""
    names = ", ".join(f"{name} {amount}" for name, amount in others.items())
    ends = "for good" if now.until_ms >= FOREVER_MS else f"until {shown(now.until_ms)}"
    message = f"{_written(now.scope)} has {names} {ends}, and all its changes end together"
    return f"{message}; name these as well, or go back with limits reset first"


def _findings(config: Config, scope: str) -> list[Finding]:
    """What contradicts in the limits of a scope."""
    at = _path(config, scope)
    found = limits_agree(config.model_dump())
    return [one for one in found if one.fatal and one.path[: len(at)] == at]


def _path(config: Config, scope: str) -> KeyPath:
    for index, one in enumerate(config.deployments):
        if one.name == scope:
            return ("deployments", index, "limits")
    kind, _, name = scope.partition(" ")
    if kind != "key":
        return (f"{kind}s", name, "limits")
    tenant, _, key = name.partition("/")
    index = [one.name for one in config.tenants[Tenant(tenant)].keys].index(KeyName(key))
    return ("tenants", tenant, "keys", index, "limits")


def _written(scope: str) -> str:
    kind, _, name = scope.partition(" ")
    return f"{kind}:{name}" if kind in KINDS and name else scope


def rows(config: Config, now: Mapping[str, Limit]) -> list[dict[str, object]]:
    """Each limit: what is configured, and what it was changed to."""
    found: list[dict[str, object]] = []
    for scope, limits in limits_of(config).items():
        found += _of(scope, limits, now.get(scope))
    return found


def _of(scope: str, limits: Limits, change: Limit | None) -> list[dict[str, object]]:
    rates = change.rates() if change is not None else {}
    configured = amounts(limits)
    return [
        {"scope": scope, "limit": name, "configured": configured[name], "changed": rates.get(name)}
        for name in SHARED
        if configured[name] is not None
    ]
