"""What a request with an idempotency key does next: the whole table, as pure functions.

| the key is | its digest | then |
|---|---|---|
| unknown | | `Append` a claim, read it back, ask `after_claim` |
| known | the same | `Attach` to the request of the first claim |
| known | another | `Mismatch` |
| first claimed by this request | | `Win`: write the request |
| claimed by another meanwhile | the same / another | `Attach` / `Mismatch` |

A winner may die between its claim and its request. `silent` says when somebody attached writes the
request in its place, under the same id, so that dispatchers drop the repeat if the winner lives.
"""

import msgspec

from headrace.ingress.index.known import KnownClaim
from headrace.schemas.names import RequestId

SILENT_MS = 5_000
"""A winner writes its request and the `queued` row within milliseconds, or answers 503 after the grace
for Kafka, which is shorter than this."""

SPREAD_MS = 1_000


class Append(msgspec.Struct, frozen=True):
    """Nobody has claimed the key: claim it."""


class Win(msgspec.Struct, frozen=True):
    """The request is the first: it is written under this id."""

    id: RequestId


class Attach(msgspec.Struct, frozen=True):
    """The request is a repeat: it waits for the answer of this one."""

    id: RequestId
    claimed_ms: int


class Mismatch(msgspec.Struct, frozen=True):
    """The key belongs to another body."""


def on_arrival(first: KnownClaim | None, digest: str) -> Append | Attach | Mismatch:
    """A keyed request comes, and `first` is known of its key."""
    return Append() if first is None else _repeat(first, digest)


def after_claim(
    first: KnownClaim, digest: str, *, partition: int, offset: int
) -> Win | Attach | Mismatch:
    """An own claim stands at `offset`, and the log was read up to there: `first` has won."""
    if (first.partition, first.offset) == (partition, offset):
        return Win(first.id)
    return _repeat(first, digest)


def _repeat(first: KnownClaim, digest: str) -> Attach | Mismatch:
    return Attach(first.id, first.claimed_ms) if first.digest == digest else Mismatch()


def silent_in_ms(claimed_ms: int, now_ms: int, roll: float) -> int:
    """How long a winner without a row may still take; 0: it is silent. `now_ms` is broker time.

    `roll` in [0, 1) spreads those who attached, so that the first to speak spares the others.
    """
    return max(0, claimed_ms + SILENT_MS + round(roll * SPREAD_MS) - now_ms)
