"""A disagreement in a configuration, and looks into the tree that it was found in."""

from collections.abc import Mapping
from dataclasses import dataclass

from headrace.schemas.config.errors import ProblemCode
from headrace.schemas.config.keypath import KeyPath, spell
from headrace.schemas.config.section import fraction


@dataclass(frozen=True, slots=True)
class Finding:
    """One disagreement. `fatal` False: allowed, and worth a warning."""

    path: KeyPath
    message: str
    code: ProblemCode = ProblemCode.CONFLICT
    fatal: bool = True

    def __str__(self) -> str:
        return f"{spell(self.path)}: {self.message}"


Plain = Mapping[str, object]


def section(tree: Plain, key: str) -> Plain:
    """What `key` has below it; nothing, if that is no mapping."""
    value = tree.get(key)
    return value if isinstance(value, Mapping) else {}


def listed(said: object, key: str) -> list[object]:
    """The list at `key`; an empty one, if that is none."""
    value = said.get(key) if isinstance(said, Mapping) else None
    return value if isinstance(value, list) else []


def deployments(tree: Plain) -> list[tuple[int, Plain]]:
    """The deployments with their places in the list."""
    said = enumerate(listed(tree, "deployments"))
    return [(index, entry) for index, entry in said if isinstance(entry, Mapping)]


def number(said: Plain, key: str) -> float | None:
    """The number at `key`, which a document holds as text, or the percentage; None: something else."""
    try:
        return float(str(fraction(said.get(key))))
    except ValueError:
        return None


def is_true(said: Plain, key: str) -> bool:
    """Whether `key` says so."""
    return str(said.get(key)).lower() == "true"
