"""Records on `limits.outlook`: once a second, what the owner of the limits knows of them and of who waits.

Each tells all of it, so only the newest counts, and nobody needs an old one. JSON arrays, as on the other
topics of the governor.
"""

from typing import Annotated, Final

import msgspec

from headrace.schemas.limits import Epoch, Flow
from headrace.schemas.status import Number
from headrace.schemas.values import read_value

OUTLOOK_PARTITION: Final = 0
FRESH_MS: Final = 5_000
"""What is older says nothing about now."""
MOST_SCOPES: Final = 1_000
MOST_FLOWS: Final = 1_000
"""Those with the longest waits."""


class Level(msgspec.Struct, frozen=True, array_like=True):
    """One limit: `dimension` as the governor calls it (`requests`, `total_tokens`, `seats`)."""

    dimension: str
    limit: Annotated[int, msgspec.Meta(ge=1)]
    used: int
    """What counts against it now, credits in hand included."""
    learned: Annotated[int, msgspec.Meta(ge=1)] | None = None
    """What the upstream showed it to be; None: nothing. `limit` follows it, unless that is only tried out."""


class ScopeOutlook(msgspec.Struct, frozen=True, array_like=True):
    """One scope's limits."""

    scope: str
    levels: list[Level]
    empty_ms: Number
    """When nothing would count any more, if nothing were sent (ms from now)."""


class FlowOutlook(msgspec.Struct, frozen=True, array_like=True):
    """Who waits, and for how long at least who joins the end of that queue now."""

    flow: Flow
    queued: Number
    wait_ms: Number


class Outlook(msgspec.Struct, frozen=True, array_like=True, tag="outlook.1"):
    """All that the owner of `epoch` knows."""

    epoch: Epoch
    scopes: list[ScopeOutlook]
    flows: list[FlowOutlook]


_outlook = msgspec.json.Decoder(Outlook)
_encode = msgspec.json.Encoder().encode


def encode(outlook: Outlook) -> bytes:
    """The value of a record."""
    return _encode(outlook)


def decode(value: bytes | None) -> Outlook | None:
    """Read a record; None for what is none. Never raises."""
    try:
        return read_value(_outlook, value or b"")
    except msgspec.MsgspecError:
        return None
