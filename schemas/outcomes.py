"""What a dispatcher tells the owner of the breakers, as a part of its report: `Report.outcomes`.

Everything may be lost, come twice or come late: counts only grow, an end is told until the row shows it,
and a wish holds for a moment.
"""

from typing import NamedTuple

import msgspec

from headrace.schemas.breakers import ProbeEnd
from headrace.schemas.cohorts import Cell
from headrace.schemas.names import DeploymentName
from headrace.schemas.status import Number
from headrace.schemas.values import read_value


class Calls(NamedTuple):
    """What has changed lately among the calls of one deployment."""

    deployment: DeploymentName
    cells: list[Cell]


class Ended(NamedTuple):
    """How a probe that was lent to this dispatcher has ended."""

    deployment: DeploymentName
    probe: Number
    end: ProbeEnd


class Outcomes(msgspec.Struct, frozen=True, array_like=True):
    """One dispatcher's part."""

    calls: list[Calls] = []
    ends: list[Ended] = []
    wants: list[DeploymentName] = []
    """Half-open deployments for which it has a request to send, and no probe."""


_outcomes = msgspec.json.Decoder(Outcomes)
_encode = msgspec.json.Encoder().encode


def encode(outcomes: Outcomes) -> msgspec.Raw:
    """As it stands in a report."""
    return msgspec.Raw(_encode(outcomes))


def decode(value: msgspec.Raw) -> Outcomes | None:
    """Read what stands in a report; None for what cannot be read. Never raises."""
    try:
        return read_value(_outcomes, bytes(value))
    except msgspec.MsgspecError:
        return None
