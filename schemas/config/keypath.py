"""Paths to values of a configuration: how they are written, and how a tree is walked along them."""

import re
from collections.abc import Iterator
from typing import TypeAlias

Tree: TypeAlias = "dict[str, Tree] | list[Tree] | str | None"
"""A configuration before the model has seen it: every scalar is still text."""
KeyPath = tuple[str | int, ...]

_PLAIN = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)


def spell(path: KeyPath) -> str:
    """`path` as people write it: `deployments[0].upstream.base_url`, `models["gpt-4.1"].retry`."""
    out = ""
    for step in path:
        if isinstance(step, int):
            out += f"[{step}]"
        elif not _PLAIN.fullmatch(step):
            out += f'["{step}"]'
        else:
            out += f".{step}" if out else step
    return out


def leaves(tree: Tree, path: KeyPath = ()) -> Iterator[tuple[KeyPath, str]]:
    """Every text of `tree` with its path, in order."""
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield from leaves(value, (*path, key))
    elif isinstance(tree, list):
        for index, value in enumerate(tree):
            yield from leaves(value, (*path, index))
    elif tree is not None:
        yield path, tree


def at(tree: Tree, path: KeyPath) -> Tree:
    """What stands at `path`. Raises `LookupError`."""
    for step in path:
        tree = _member(tree, step)
    return tree


def put(tree: Tree, path: KeyPath, value: Tree) -> None:
    """Set what stands at `path`; its last step may be new. Raises `LookupError`."""
    *above, last = path
    around = at(tree, tuple(above))
    if isinstance(around, list) and isinstance(last, int):
        around[last : last + 1] = [value]
    elif isinstance(around, dict) and isinstance(last, str):
        around[last] = value
    else:
        raise LookupError(spell(path))  # noqa: TRY004 - nothing is there, whatever the type


def _member(tree: Tree, step: str | int) -> Tree:
    if isinstance(tree, list) and isinstance(step, int):
        return tree[step]
    if isinstance(tree, dict) and isinstance(step, str):
        return tree[step]
    raise LookupError(step)
