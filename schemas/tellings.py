"""What a dispatcher tells of its upstreams' own limits and their latency, as a part of its reports.

Refusals are counted from 1 on and told again for a while, so a report that is lost, repeated or late does
no harm: whoever has heard of one passes over its number. Latencies are sums since the process started, of
which the difference counts. Ages are differences of the dispatcher's own
monotonic clock, up to the moment in which the report was made (`Report.mono_ms`).
"""

from enum import StrEnum
from typing import Annotated, Final

import msgspec

from headrace.schemas.names import DeploymentName
from headrace.schemas.values import read_value

MOST_REFUSALS: Final = 8
"""Of one deployment in one report: those of one moment say the same, and all are counted."""
MOST_WINDOWS: Final = 16
MOST_KINDS: Final = 4
TOLERANCE: Final = 0.1
"""Resets are rounded, often up to a second."""

Count = Annotated[int, msgspec.Meta(ge=0)]
Ago = Annotated[int, msgspec.Meta(ge=0, le=3_600_000)]
Span = Annotated[float, msgspec.Meta(ge=0, le=1e15)]


class Dimension(StrEnum):
    """What an upstream limits, by its headers."""

    REQUESTS = "requests"
    TOKENS = "tokens"
    INPUT_TOKENS = "input_tokens"
    OUTPUT_TOKENS = "output_tokens"


class Window(msgspec.Struct, frozen=True, array_like=True):
    """One limit, as far as it was told."""

    dimension: Dimension
    per_ms: int | None = None
    """Its length, where the header's name tells."""
    limit: int | None = None
    remaining: int | None = None
    reset_ms: int | None = None
    """How long until all of it is there again."""

    def lasts(self, ms: int) -> bool:
        """Whether its length is `ms`, by its name or by what is spent and when that comes back."""
        if self.per_ms is not None or not self.limit or self.reset_ms is None:
            return self.per_ms == ms
        spent = self.limit - (self.limit if self.remaining is None else self.remaining)
        if spent <= 0:
            return False
        return abs(self.reset_ms * self.limit / spent / ms - 1) <= TOLERANCE


class Refused(msgspec.Struct, frozen=True, array_like=True):
    """A call that was turned away by a limit (429) or an overload (529, 503)."""

    number: Count
    """Counts the refusals of this deployment that the process has met."""
    limited: bool
    """By a limit; else by load."""
    request: int
    """Tells requests apart."""
    began_ago_ms: Ago
    ended_ago_ms: Ago
    asked_ms: Count | None = None
    """How long it asks to be left alone, from its end on."""
    spent: list[Dimension] = []
    """Of which it said that nothing remains."""


class Kind(StrEnum):
    """A latency that does not depend on how long the answer is."""

    FIRST_BYTE = "first_byte"
    """Until the first event of a stream."""
    ANSWER = "answer"
    """Of a plain answer as a whole, for each token."""


class Answered(msgspec.Struct, frozen=True, array_like=True):
    """Good answers of one kind, of a deployment whose seats are learned."""

    kind: Kind
    calls: Count
    """Since the process started."""
    total_ms: Span
    """All their latencies together."""
    least_ms: Span
    """Of the last second or two."""


class Telling(msgspec.Struct, frozen=True, array_like=True):
    """What is known of one deployment."""

    deployment: DeploymentName
    limited: Count = 0
    """Calls that a limit has turned away, since the process started."""
    overloaded: Count = 0
    refusals: Annotated[list[Refused], msgspec.Meta(max_length=MOST_REFUSALS)] = []
    """The newest ones, the oldest first."""
    windows: Annotated[list[Window], msgspec.Meta(max_length=MOST_WINDOWS)] = []
    """By the newest answer that told any."""
    answers: Annotated[list[Answered], msgspec.Meta(max_length=MOST_KINDS)] = []


_tellings = msgspec.json.Decoder(list[Telling])
_encode = msgspec.json.Encoder().encode


def encode(tellings: list[Telling]) -> msgspec.Raw:
    """As it stands in `Report.headers`."""
    return msgspec.Raw(_encode(tellings))


def decode(value: msgspec.Raw) -> list[Telling] | None:
    """Read `Report.headers`; None for what is none. Never raises."""
    try:
        return read_value(_tellings, bytes(value))
    except msgspec.MsgspecError:
        return None
