"""Records of the governor's channel: what dispatchers tell an owner, and what it lets them spend (P5).

`limits.reports` carries REPORT, one for a dispatcher and tick. `limits.grants` carries, in an order that
decides, what the owners of that partition write:

    EPOCH    an owner takes the partition over; what older owners write behind it counts for nothing
    BEAT     the owner lives and reads its own log
    GRANTS   what each session may have spent by now
    END      a session is over: what it had and did not tell is charged as spent
    LEARNED  what a limit really is, by the upstream's headers and refusals

All amounts are cumulative within a session and merge by taking the greater, so a record that is lost,
repeated or late does no harm. JSON arrays, so that `kcat` shows them as they are; the first element
names kind and version.
"""

from typing import Final, NamedTuple, NewType

import msgspec

from headrace.schemas.journal import ProcessId, SessionId
from headrace.schemas.names import NO_KEY, DeploymentName, KeyName, LaneName, Tenant
from headrace.schemas.values import read_value

LIMIT_PARTITION: Final = 0
"""Of `limits.reports` and `limits.grants`: all limits of an installation are one domain so far, so that
one owner sees every scope that a request must fit."""

NO_SESSION: Final = ""
"""In a report of a process that asks for no credits: it tells of its calls only."""

Epoch = NewType("Epoch", int)
"""Counts the owners of one partition. 0: none yet."""


class Units(NamedTuple):
    """An amount: requests, input tokens, output tokens."""

    requests: int = 0
    input: int = 0
    output: int = 0


NOTHING = Units()


class Flow(NamedTuple):
    """Whose credits: a tenant's requests in one lane for one deployment, of a key that has limits apart."""

    deployment: DeploymentName
    lane: LaneName
    tenant: Tenant
    key: KeyName = NO_KEY


class Want(msgspec.Struct, frozen=True, array_like=True):
    """`count` queued requests of one size, next to each other in the order they are to be sent, and queued at
    nearly the same time.
    """

    rank: int
    """Among dispatchers the least goes first: when the first was queued, or its deadline (epoch ms)."""
    input: int
    output: int
    count: int = 1


class Refund(msgspec.Struct, frozen=True, array_like=True):
    """A call that used less than was reserved: the session's `ordinal`-th request of its flow."""

    ordinal: int
    input: int
    output: int


class FlowReport(msgspec.Struct, frozen=True, array_like=True):
    """A session's counters of one flow, and the first of its queue."""

    flow: Flow
    spent: Units
    renounced: Units
    ended: int = 0
    """Requests whose seats are free again; spent and not ended is in use."""
    want: list[Want] = []
    usual: Units | None = None
    """Size of a usual request, where a credit in reserve is of use; None: it is not."""
    refunds: list[Refund] = []
    queued: int = 0
    """Requests in its whole queue."""


class Report(msgspec.Struct, frozen=True, array_like=True, tag="report.1"):
    """All that one dispatcher has to tell the owner of one partition."""

    dispatcher: ProcessId
    session: SessionId
    seq: int
    mono_ms: int
    """Its own monotonic clock when this was sent; grants echo it."""
    tick_ms: int
    """The next one comes within this time."""
    epoch: Epoch
    """The newest owner that it knows; 0: it has never seen one."""
    flows: list[FlowReport]
    granted: bool = False
    """Whether this session has read a grant: then an owner that knows of none must give it nothing."""
    last: bool = False
    """The session is over: nothing in hand, nothing in use."""
    outcomes: msgspec.Raw = msgspec.Raw(b"[]")
    """How calls ended, and what probes wait for; see `outcomes`."""
    headers: msgspec.Raw = msgspec.Raw(b"[]")
    """What upstreams told of their limits: see `tellings`."""


class FlowGrant(msgspec.Struct, frozen=True, array_like=True):
    """What a session may have spent or renounced of one flow, and what the owner knows that it has."""

    flow: Flow
    granted: Units
    spent: Units = NOTHING
    renounced: Units = NOTHING
    ended: int = 0
    keep: int = 0
    """Requests for which credits may lie idle."""
    sought: bool = False
    """Whether somebody waits for a seat that its calls hold: their ends are to be told at once."""


class SessionGrant(msgspec.Struct, frozen=True, array_like=True):
    """One session's part of a GRANTS record."""

    session: SessionId
    echo_mono_ms: int
    """From its newest report: the credits live from there."""
    valid_ms: int
    flows: list[FlowGrant]


class Grants(msgspec.Struct, frozen=True, array_like=True, tag="grants.1"):
    """All sessions that were granted something, or are renewed, in one tick."""

    epoch: Epoch
    sessions: list[SessionGrant]


class Claim(msgspec.Struct, frozen=True, array_like=True, tag="epoch.1"):
    """EPOCH: `owner` owns the partition from here on, if `epoch` is above all before it."""

    epoch: Epoch
    owner: ProcessId


class Beat(msgspec.Struct, frozen=True, array_like=True, tag="beat.1"):
    """The owner of `epoch` lives; `seq` counts its beats."""

    epoch: Epoch
    seq: int


class End(msgspec.Struct, frozen=True, array_like=True, tag="end.1"):
    """`session` gets nothing any more; `residual` was charged as spent at `stamp_ms`."""

    epoch: Epoch
    session: SessionId
    stamp_ms: int
    residual: list[tuple[Flow, Units]] = []


class Learned(msgspec.Struct, frozen=True, array_like=True, tag="learned.1"):
    """LEARNED: one limit of one scope, as a successor must know it. Stated again while it holds."""

    epoch: Epoch
    scope: str
    dimension: str
    told: float | None
    """By the upstream's headers."""
    peak: float
    """Of seats, which are learned from latency: their number."""
    cut_at_ms: int
    cuts: int


class Unreadable(msgspec.Struct, frozen=True):
    """In place of a record that is damaged, or of another version: to be counted and passed over."""

    reason: str


Command = Claim | Beat | Grants | End | Learned
"""What stands on `limits.grants`."""

_report = msgspec.json.Decoder(Report)
_command = msgspec.json.Decoder(Command)
_encode = msgspec.json.Encoder().encode


def encode(record: Report | Command) -> bytes:
    """The value of a record."""
    return _encode(record)


def decode_report(value: bytes) -> Report | Unreadable:
    """Read a record of `limits.reports`; whatever stands there, this gives a value."""
    try:
        return read_value(_report, value)
    except msgspec.MsgspecError as error:
        return Unreadable(str(error))


def decode_command(value: bytes) -> Command | Unreadable:
    """Read a record of `limits.grants`; whatever stands there, this gives a value."""
    try:
        command: Command = read_value(_command, value)
    except msgspec.MsgspecError as error:
        return Unreadable(str(error))
    return command
