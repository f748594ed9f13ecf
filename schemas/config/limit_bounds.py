"""How much limits let through of what another limit counts. Pure."""

import math
from collections.abc import Collection

from headrace.schemas.config.finding import Plain, deployments, is_true, number, section

_PARTS = ("input_tokens_per_minute", "output_tokens_per_minute")
_WHOLE = "tokens_per_minute"


def bound(limits: Plain, name: str) -> tuple[float, str]:
    """The most of what the limit `name` counts that `limits` let through, and which of them says so.

    Infinite where none does. What is only tried out holds nothing back.
    """
    if is_true(limits, "shadow"):
        return math.inf, name
    bounds = [(_amount(limits, name), name)]
    if name in _PARTS:
        bounds.append((_amount(limits, _WHOLE), _WHOLE))
    elif name == _WHOLE:
        bounds.append((sum(_amount(limits, part) for part in _PARTS), " and ".join(_PARTS)))
    return min(bounds, key=lambda one: one[0])


def pools_bound(tree: Plain, name: str, model: str) -> float:
    """What the pools of a model's deployments let through together; infinite where one is in none."""
    pools = {pool_of(one) for _, one in deployments(tree) if str(one.get("model")) == model}
    return sum(_bound_of(tree, "pools", pool, name) for pool in pools)


def upstream_bound(tree: Plain, name: str, models: Collection[str]) -> float:
    """What may be sent to deployments of `models` together, as their pools or the models themselves allow.

    Never less than what could be sent: either way of adding up leaves something out.
    """
    by_pool: dict[str, float] = {}
    by_model: dict[str, float] = {}
    for _, one in deployments(tree):
        model, pool = str(one.get("model")), pool_of(one)
        if model in models:
            own, _ = bound(section(one, "limits"), name)
            by_pool[pool] = by_pool.get(pool, 0) + own
            by_model[model] = by_model.get(model, 0) + own
    return min(
        sum(min(own, _bound_of(tree, kind, whole, name)) for whole, own in added.items())
        for kind, added in (("pools", by_pool), ("models", by_model))
    )


def _bound_of(tree: Plain, kind: str, owner: str, name: str) -> float:
    return bound(section(section(section(tree, kind), owner), "limits"), name)[0]


def pool_of(deployment: Plain) -> str:
    """No name where it is in none."""
    pool = section(deployment, "limits").get("pool")
    return pool if isinstance(pool, str) else ""


def _amount(limits: Plain, name: str) -> float:
    amount = number(limits, name)
    return math.inf if amount is None else amount
