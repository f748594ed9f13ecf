"""A breaker's evidence on its way from the dispatchers to the owner: calls by the second of their start.

Part of a dispatcher's report. All counts only grow, so that a report may be lost, come twice, or come late.
"""

import msgspec

from headrace.schemas.names import Tenant
from headrace.schemas.status import Number


class Counts(msgspec.Struct, frozen=True, array_like=True):
    """Calls that were started in one second. All only grow, so of two reports the larger is newer."""

    started: Number = 0
    ended: Number = 0
    failed: Number = 0
    overloaded: Number = 0
    """Half-weight failures; not among `failed`."""
    ignored: Number = 0
    """Ended and tell nothing of the upstream's health."""
    exhausted: Number = 0
    """Of `ignored`: the upstream refused the credential."""
    streams: Number = 0
    begun: Number = 0
    """Streams whose first byte was seen, or that ended without one."""
    slow: Number = 0
    """Of `begun`: later than the slow bound."""


class Cell(msgspec.Struct, frozen=True, array_like=True):
    """What a dispatcher reports of one second and tenant: cumulative, so it may be said again."""

    second: Number
    """Epoch seconds by the broker's clock: when the calls were started."""
    tenant: Tenant
    counts: Counts
