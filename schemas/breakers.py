"""Records on `breakers`: each deployment's breaker as its owner last said, and how it came to that.

One JSON array a record. Two owners may write for a while (a frozen one does not know that it was
replaced), and compaction keeps the last value of a key, so every key has the owner's epoch in it:
a `Row` under `row/<epoch>/<deployment>`, of which the highest epoch counts, and each `Transition`
under `past/<epoch>/<slot>/<deployment>`, whose slots go round, so that history is bounded.
"""

from enum import StrEnum
from typing import Annotated, Final

import msgspec

from headrace.schemas.names import DeploymentName
from headrace.schemas.status import Number
from headrace.schemas.values import read_value

PAST: Final = 256
"""Transitions of one deployment that are kept of each epoch."""

Share = Annotated[float, msgspec.Meta(ge=0, le=1)]


class State(StrEnum):
    """What a breaker lets through. The last four are set by operators and left by nobody else."""

    CLOSED = "closed"
    OPEN = "open"
    """Nothing, until a time."""
    HALF_OPEN = "half_open"
    """A few probes, fleet-wide."""
    RAMP = "ramp"
    """A share that grows."""
    FORCED_OPEN = "forced_open"
    FORCED_CLOSED = "forced_closed"
    """Everything, whatever the upstream does."""
    METRICS_ONLY = "metrics_only"
    """Everything; what it would have done is counted."""
    DISABLED = "disabled"
    """Everything, and nothing is counted."""


class Why(StrEnum):
    """What a transition was for."""

    START = "start"
    ERRORS = "errors"
    """Too many of the calls that were just started failed (rule A)."""
    HANGING = "hanging"
    """Too many calls failed or got no first byte within the stall bound (rule B)."""
    IN_A_ROW = "in_a_row"
    """At low traffic, every one of the last calls failed (rule C)."""
    SLOW = "slow"
    """Nearly all streams began beyond the slow bound (rule D)."""
    CREDENTIAL = "credential"
    """The upstream refuses the key or the account has no money left."""
    WAITED = "waited"
    PROBE_FAILED = "probe_failed"
    PROBE_EXPIRED = "probe_expired"
    PROBES_UNTOLD = "probes_untold"
    """All probes ended without telling anything, as a 400 does: the next ones are lent."""
    PROBES_PASSED = "probes_passed"
    RAMPED = "ramped"
    OPERATOR = "operator"


class ProbeEnd(StrEnum):
    """How a probe ended."""

    PASSED = "passed"
    FAILED = "failed"
    UNTOLD = "untold"
    """It says nothing of the upstream's health."""
    RENOUNCED = "renounced"
    """It was not sent: the credit may be lent again."""


class Probe(msgspec.Struct, frozen=True, array_like=True):
    """One call that may be made while the breaker is half open."""

    number: Number
    """Never used twice by one owner."""
    holder: str
    """The dispatcher process that it is lent to."""
    expires_ms: Number
    """Without an end by then (epoch ms) it has failed."""
    end: ProbeEnd | None = None


class Figures(msgspec.Struct, frozen=True, array_like=True):
    """What a rule saw when it tripped."""

    calls: Number = 0
    """Calls it looked at, without those that tell nothing."""
    failed: Number = 0
    overloaded: Number = 0
    waiting: Number = 0
    """Streams without a first byte."""
    slow: Number = 0
    tenants: Number = 0


class Row(msgspec.Struct, frozen=True, array_like=True, kw_only=True, tag="row"):
    """A breaker as its owner of `epoch` last said: what dispatchers obey and a successor goes on from.

    Times are epoch ms by the broker's clock.
    """

    deployment: DeploymentName
    epoch: Number
    state: State
    since_ms: Number
    open_until_ms: Number = 0
    """When probes are lent; 0 unless open."""
    trips: Number = 0
    """Trips in a row: each makes the next open time longer."""
    share: Share = 1.0
    """Of the usual credits that are handed out."""
    probes: tuple[Probe, ...] = ()
    issued: Number = 0
    """The number of the last probe."""
    evidence_from_ms: Number = 0
    """Calls that were started earlier are not judged any more."""
    would_trip: Number = 0
    """Under `metrics_only`: how often it would have opened."""
    why: Why = Why.START
    figures: Figures = Figures()
    by: str = ""
    """The operator who set the state; empty: the breaker itself."""
    rest_began_ms: Number = 0
    """When the deployment turned calls away last and was left alone, whatever the state."""
    rest_until_ms: Number = 0
    """Until then; afterwards it is begun slowly."""
    rest_times: Number = 0
    """Such rests in a row."""


class Transition(msgspec.Struct, frozen=True, array_like=True, kw_only=True, tag="past"):
    """One change of state, for people."""

    deployment: DeploymentName
    epoch: Number
    number: Number
    """Counts the transitions of this epoch."""
    at_ms: Number
    before: State
    after: State
    why: Why
    trips: Number = 0
    open_until_ms: Number = 0
    figures: Figures = Figures()
    by: str = ""


Record = Row | Transition

_record = msgspec.json.Decoder(Record)
_encode = msgspec.json.Encoder().encode


def key_of(record: Record) -> bytes:
    """The key under which compaction keeps the record."""
    if isinstance(record, Row):
        return f"row/{record.epoch}/{record.deployment}".encode()
    return f"past/{record.epoch}/{record.number % PAST}/{record.deployment}".encode()


def encode(record: Record) -> bytes:
    """The value of a record."""
    return _encode(record)


def decode(value: bytes) -> Record | None:
    """Read a record; None for what is none. Never raises."""
    try:
        record: Record = read_value(_record, value)
    except msgspec.MsgspecError:
        return None
    return record


def fold(rows: dict[DeploymentName, Row], record: Record | None) -> dict[DeploymentName, Row]:
    """The table with the next record of the log in it: of several epochs the highest counts.

    History and unreadable records leave it as it is; so do rows of an owner that was replaced.
    """
    if not isinstance(record, Row):
        return rows
    known = rows.get(record.deployment)
    if known is not None and known.epoch > record.epoch:
        return rows
    return rows | {record.deployment: record}
