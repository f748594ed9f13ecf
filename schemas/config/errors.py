"""What can be wrong with a configuration.

ConfigError            exit code 78 (EX_CONFIG of sysexits.h); holds every problem found
├── ConfigUnreadable   config_unreadable: no such file, no right to read it, not UTF-8
├── ConfigMalformed    config_malformed: not YAML, or YAML that is too large or too deep
└── ConfigInvalid      config_invalid: keys, values, names or secrets that do not hold
"""

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

EX_CONFIG = 78


class ProblemCode(StrEnum):
    """Stable codes of single problems."""

    UNREADABLE = "config_unreadable"
    MALFORMED = "config_malformed"
    UNKNOWN_KEY = "config_unknown_key"
    MISSING_KEY = "config_missing_key"
    INVALID_VALUE = "config_invalid_value"
    UNKNOWN_NAME = "config_unknown_name"
    CONFLICT = "config_conflict"
    SECRET_MISSING = "config_secret_missing"  # noqa: S105 - a code, not a secret
    SECRET_PLAIN = "config_secret_plain"  # noqa: S105 - a code, not a secret


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: where (`file:line` or the variable), at which key, and what."""

    code: ProblemCode
    where: str
    path: str
    message: str

    def __str__(self) -> str:
        return ": ".join(part for part in (self.where, self.path, self.message) if part)


class ConfigError(Exception):
    """A configuration that cannot be used; `problems` holds all that is wrong with it."""

    code: ClassVar[str] = "config_invalid"
    exit_code: ClassVar[int] = EX_CONFIG

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = tuple(problems)


class ConfigUnreadable(ConfigError):
    """The file cannot be read."""

    code = "config_unreadable"


class ConfigMalformed(ConfigError):
    """The file is not a YAML document that we read."""

    code = "config_malformed"


class ConfigInvalid(ConfigError):
    """The document says something that does not hold."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A suggestion to end a message with: the closest of `known`, or all if they are few."""
    names = sorted(known)
    close = difflib.get_close_matches(word.lower(), names, n=1, cutoff=0.6)
    if close:
        return f"; did you mean {close[0]}?"
    return f"; known: {', '.join(names)}" if 0 < len(names) <= 12 else ""
