"""What a check can find, and by which rules it looks."""

from collections.abc import Callable
from enum import StrEnum

import msgspec

from headrace.cli.demo.evidence import Record

AnswerOf = Callable[[Record], bytes]
"""The upstream's whole answer to a request record. Raises ValueError where it would refuse it."""


class Kind(StrEnum):
    """What is wrong."""

    LOST = "lost"
    """Sent, and neither answered nor dead-lettered."""
    DOUBLED = "doubled"
    """Ended, or shown, twice."""
    WRONG = "wrong answer"
    """Another answer than the upstream's."""
    UNKNOWN = "unknown record"
    """A record or a call that belongs to no request, or a request without its record."""
    DEAD_LETTER = "dead letter"
    """Missing, incomplete, or of a request that was not to have one."""
    CALLS = "upstream calls"
    """More of them than the attempts and the kill explain."""
    EARLY = "too early"
    """A retry before the time that the upstream asked for."""
    LIMIT = "limit"
    """The limit by the minute was exceeded, or not used."""
    BREAKER = "breaker"
    """It did not open, or not close again."""
    KILL = "kill"
    """It did not hit what it was to hit."""


class Finding(msgspec.Struct, frozen=True):
    """One thing that did not hold; `name` is the request's id or number."""

    kind: Kind
    name: str
    what: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.name}: {self.what}"


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """What a run was made to do."""

    prefix: str
    """Before the names of the topics."""
    impossible: frozenset[str] = frozenset()
    """Models whose requests can never succeed: each ends as one dead letter."""
    retry_after_ms: int = 0
    """What the upstream asks for with a 429 or 503."""
    error_after_ms: int = 0
    """How long after the receipt of a call the upstream answers with an error, at the least."""
    least_held: int = 0
    """How many calls a kill must have cut."""
