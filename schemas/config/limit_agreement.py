"""Where limits must agree: a part cannot be above the whole, and lanes cannot reserve more than there is."""

from collections.abc import Iterator

from headrace.schemas.config.errors import ProblemCode, did_you_mean
from headrace.schemas.config.finding import Finding, Plain, deployments, number, section
from headrace.schemas.config.keypath import KeyPath
from headrace.schemas.config.limits import SHARED

MOST_RESERVED = 0.9
MOST_RESERVES = 4
"""Each set of those who have a reserve is a limit of its own."""


def limits_agree(tree: Plain) -> Iterator[Finding]:
    """Everything in which limits contradict one another."""
    pools = section(tree, "pools")
    for name in pools:
        limits = section(section(pools, name), "limits")
        yield from _parts(limits, ("pools", name, "limits"))
    models = section(tree, "models")
    for name in models:
        limits = section(section(models, name), "limits")
        yield from _parts(limits, ("models", name, "limits"))
    for index, deployment in deployments(tree):
        limits = section(deployment, "limits")
        yield from _parts(limits, ("deployments", index, "limits"))
        yield from _adaptive(limits, ("deployments", index, "limits"))
        pool = deployment.get("pool")
        if isinstance(pool, str) and pool not in pools:
            message = f"no pool is called {pool}" + did_you_mean(pool, [str(one) for one in pools])
            yield Finding(("deployments", index, "pool"), message, ProblemCode.UNKNOWN_NAME)
        elif isinstance(pool, str):
            whole = section(section(pools, pool), "limits")
            yield from _below(limits, whole, ("deployments", index, "limits"), f"the pool {pool}")
        model = str(deployment.get("model"))
        whole = section(section(models, model), "limits")
        yield from _below(limits, whole, ("deployments", index, "limits"), f"the model {model}")
    yield from _tenants(tree)
    yield from _reserves(tree)


def _parts(limits: Plain, path: KeyPath) -> Iterator[Finding]:
    """Input or output above both together could never be used."""
    whole = number(limits, "tokens_per_minute")
    for name in ("input_tokens_per_minute", "output_tokens_per_minute"):
        part = number(limits, name)
        if part is not None and whole is not None and part > whole:
            yield Finding((*path, name), f"is above tokens_per_minute, {whole:.0f}")


def _adaptive(limits: Plain, path: KeyPath) -> Iterator[Finding]:
    """What is learned has a bound that is configured."""
    if str(limits.get("adaptive")).lower() != "true":
        return
    most, least = number(limits, "concurrency"), number(limits, "adaptive_least")
    if most is None:
        yield Finding((*path, "adaptive"), "needs concurrency, the most calls that may be learned")
    elif least is not None and least > most:
        yield Finding((*path, "adaptive_least"), f"is above concurrency, {most:.0f}")


def _below(limits: Plain, whole: Plain, path: KeyPath, of: str) -> Iterator[Finding]:
    for name in SHARED:
        part, most = number(limits, name), number(whole, name)
        if part is not None and most is not None and part > most:
            yield Finding((*path, name), f"is above that of {of}, {most:.0f}")


def _tenants(tree: Plain) -> Iterator[Finding]:
    tenants = section(tree, "tenants")
    for tenant in tenants:
        limits = section(section(tenants, tenant), "limits")
        yield from _parts(limits, ("tenants", tenant, "limits"))


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
    for where, limits in _wholes(tree):
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
