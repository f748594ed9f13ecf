"""Where limits must agree: a part cannot be above the whole, and lanes cannot reserve more than there is."""

import math
from collections.abc import Collection, Iterator, Mapping
from fnmatch import fnmatchcase

from headrace.schemas.config.errors import ProblemCode, did_you_mean
from headrace.schemas.config.finding import (
    Finding,
    Plain,
    deployments,
    is_true,
    listed,
    number,
    section,
)
from headrace.schemas.config.keypath import KeyPath
from headrace.schemas.config.limit_bounds import bound, pool_of, pools_bound, upstream_bound
from headrace.schemas.config.limits import SHARED
from headrace.schemas.config.section import MOST_RESERVED

_ALL = "what all that it may use allows"
MOST_RESERVES = 4
"""Each set of those who have a reserve is a limit of its own."""


def limits_agree(tree: Plain) -> Iterator[Finding]:
    """Everything in which limits contradict one another."""
    yield from _pools(tree)
    yield from _models(tree)
    yield from _deployments(tree)
    yield from _tenants(tree)
    yield from _reserves(tree)


def _pools(tree: Plain) -> Iterator[Finding]:
    pools = section(tree, "pools")
    members = {pool_of(deployment) for _, deployment in deployments(tree)}
    for name in pools:
        yield from _parts(section(section(pools, name), "limits"), ("pools", name, "limits"))
        if name not in members:
            yield Finding(("pools", name), "no deployment is in it")


def _models(tree: Plain) -> Iterator[Finding]:
    models = section(tree, "models")
    for model in models:
        limits, path = section(section(models, model), "limits"), ("models", model, "limits")
        yield from _parts(limits, path)
        for name in SHARED:
            most = pools_bound(tree, name, model)
            yield from _within(limits, name, most, path, "what the pools of its deployments allow")


def _deployments(tree: Plain) -> Iterator[Finding]:
    pools, models = section(tree, "pools"), section(tree, "models")
    for index, deployment in deployments(tree):
        limits, path = section(deployment, "limits"), ("deployments", index, "limits")
        yield from _parts(limits, path)
        yield from _adaptive(limits, path)
        pool = pool_of(deployment)
        if pool and pool not in pools:
            message = f"no pool is called {pool}" + did_you_mean(pool, [str(one) for one in pools])
            # Where there is none at all the name alone tells what belongs together.
            yield Finding((*path, "pool"), message, ProblemCode.UNKNOWN_NAME, fatal=bool(pools))
        elif pool:
            whole = section(section(pools, pool), "limits")
            yield from _below(limits, whole, path, f"the pool {pool}")
        model = str(deployment.get("model"))
        whole = section(section(models, model), "limits")
        yield from _below(limits, whole, path, f"the model {model}")


def _parts(limits: Plain, path: KeyPath) -> Iterator[Finding]:
    """Input or output above both together could never be used."""
    whole = number(limits, "tokens_per_minute")
    for name in ("input_tokens_per_minute", "output_tokens_per_minute"):
        part = number(limits, name)
        if part is not None and whole is not None and part > whole:
            yield Finding((*path, name), f"is above tokens_per_minute, {whole:.0f}")


def _adaptive(limits: Plain, path: KeyPath) -> Iterator[Finding]:
    """What is learned has a bound that is configured."""
    if not is_true(limits, "adaptive"):
        return
    most, least = number(limits, "concurrency"), number(limits, "adaptive_least")
    if most is None:
        yield Finding((*path, "adaptive"), "needs concurrency, the most calls that may be learned")
    elif least is not None and least > most:
        yield Finding((*path, "adaptive_least"), f"is above concurrency, {most:.0f}")


def _below(limits: Plain, whole: Plain, path: KeyPath, of: str) -> Iterator[Finding]:
    for name in SHARED:
        most, by = bound(whole, name)
        yield from _within(limits, name, most, path, f"{'that' if by == name else by} of {of}")


def _within(limits: Plain, name: str, most: float, path: KeyPath, of: str) -> Iterator[Finding]:
    part = number(limits, name)
    if part is not None and part > most:
        yield Finding((*path, name), f"is above {of}, {most:.0f}")


def _tenants(tree: Plain) -> Iterator[Finding]:
    """A tenant may use several deployments: its limits may be above those of one."""
    tenants = section(tree, "tenants")
    for tenant in tenants:
        said = section(tenants, tenant)
        limits, path = section(said, "limits"), ("tenants", tenant, "limits")
        yield from _parts(limits, path)
        models = _usable(tree, said)
        mosts = {
            name: upstream_bound(tree, name, models) if models else math.inf for name in SHARED
        }
        for name, most in mosts.items():
            yield from _within(limits, name, most, path, _ALL)
        for index, key in enumerate(listed(said, "keys")):
            own = section(key if isinstance(key, Mapping) else {}, "limits")
            at = ("tenants", tenant, "keys", index, "limits")
            yield from _parts(own, at)
            yield from _below(own, limits, at, f"the tenant {tenant}")
            for name, most in mosts.items():
                yield from _within(own, name, most, at, _ALL)


def _usable(tree: Plain, tenant: Plain) -> Collection[str]:
    """Models that are served and that a tenant may use."""
    globs = listed(tenant, "models") if "models" in tenant else ["*"]
    served = {str(deployment.get("model")) for _, deployment in deployments(tree)}
    return {model for model in served if any(fnmatchcase(model, str(glob)) for glob in globs)}


def _reserves(tree: Plain) -> Iterator[Finding]:
    """Lanes and tenants take them of the same limits."""
    shares: dict[KeyPath, float] = {}
    for kind in ("lanes", "tenants"):
        owners = section(tree, kind)
        for name in owners:
            share = number(section(owners, name), "reserve")
            if share:
                shares[kind, name, "reserve"] = share
    if not shares:
        return
    path = list(shares)[-1]
    if sum(shares.values()) > MOST_RESERVED:
        yield Finding(path, f"all reserves together are above {MOST_RESERVED}")
    if len(shares) > MOST_RESERVES:
        yield Finding(path, f"more than {MOST_RESERVES} lanes and tenants have a reserve")
    wholes = list(_wholes(tree))
    if not any(number(limits, name) for _, limits in wholes for name in SHARED):
        message = (
            "nothing is limited for the whole fleet of which a part could be reserved, such as"
        )
        yield Finding(path, f"{message} limits.concurrency of a deployment", fatal=False)
    for where, limits in wholes:
        if number(limits, "concurrency") == 1:
            message = "of one call at a time no part can be reserved"
            yield Finding((*where, "concurrency"), message, fatal=False)


def _wholes(tree: Plain) -> Iterator[tuple[KeyPath, Plain]]:
    """The limits of which parts are reserved."""
    for index, deployment in deployments(tree):
        yield ("deployments", index, "limits"), section(deployment, "limits")
    for kind in ("pools", "models"):
        owners = section(tree, kind)
        for name in owners:
            yield (kind, name, "limits"), section(section(owners, name), "limits")
