"""The edges of the dispatcher: what the loop needs from the world, as small protocols and values."""

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import Protocol

import msgspec

from headrace.dispatcher.costs import Text
from headrace.dispatcher.source_record import SourceRecord
from headrace.dispatcher.tenure import Tenure
from headrace.schemas.names import DeploymentName, Endpoint, RequestId
from headrace.schemas.replies import Cancel


class Break(StrEnum):
    """How a call ended without a whole answer."""

    NOT_SENT = "not_sent"
    """Refused, unresolved, TLS, or reset before the request was fully sent: the upstream did nothing."""
    NO_ANSWER = "no_answer"
    """Reset after the request was sent, nothing came back: ambiguous."""
    FIRST_BYTE_TIMEOUT = "first_byte_timeout"
    STALL = "stall"
    TOTAL_TIMEOUT = "total_timeout"
    STREAM_BROKEN = "stream_broken"
    """Cut, ended without its end mark, malformed, or not UTF-8."""
    TOO_LARGE = "too_large"
    SEAT_LOST = "seat_lost"
    """Cut by us: no governor was heard of in time, so that its seat is given to others."""


class CallEnd(msgspec.Struct, kw_only=True):
    """How an upstream call ended."""

    status: int = 0
    """HTTP status, 0 if none was received. An error event inside a 200 stream: the status it stands for."""
    body: bytes = b""
    """The answer, or of a stream what was not handed to `forward` yet (whole SSE events)."""
    content_type: bytes = b"application/json"
    headers: Mapping[str, str] = {}
    """Response headers by lower-case name: retry hints and what is passed on to the client."""
    broken: Break | None = None
    """None: the upstream answered wholly, whatever the status."""
    forwarded: int = 0
    """Chunks handed to `forward`: beyond 0 the call is never repeated."""
    stream_error: bytes = b""
    """The error object (JSON) of an error event inside a 200 stream. `body` then ends with that
    event as it came, `status` is what it stands for; the client gets `body` with 200."""
    first_s: float | None = None
    """Of a stream: from its beginning to its first event, or to its end if there was none before."""
    usage: bytes = b""
    """What a stream told last of the tokens that it took (JSON), of a call that is `metered`."""
    text: Text = Text()
    """What came of the text of such a stream."""
    withheld: bool = False
    """The gate stayed closed: nothing was sent."""
    spent_s: float = 0.0
    """How long after its gate had opened the first byte was handed to the socket."""
    detail: str = ""
    """For logs and histories: no body, no header values."""

    @property
    def answered(self) -> bool:
        """Whether there is a whole answer of the upstream's own that could be passed on."""
        return self.broken is None and self.status > 0

    @property
    def client_status(self) -> int:
        """The HTTP status that belongs to `body`."""
        return 200 if self.stream_error else self.status


class Call(msgspec.Struct, kw_only=True, frozen=True):
    """One upstream call to make."""

    id: RequestId
    endpoint: Endpoint
    body: bytes
    stream: bool
    deployment: DeploymentName
    traceparent: bytes = b""
    timeout_s: float
    """Time left until the request's deadline; the deployment's own total may be shorter."""
    gate: Callable[[], bool] | None = None
    """Asked when a connection is in hand, right before the request is sent: False: it must not be."""
    cuttable: Callable[[Callable[[], None]], None] | None = None
    """Told how to cut the call short, when it begins; it then ends as `SEAT_LOST`."""
    metered: bool = False
    """Whether it matters how many tokens the answer takes."""
    end: CallEnd = msgspec.field(default_factory=CallEnd)
    """What is known of its end; of a call that is cancelled, what was seen until then."""


TakeCancel = Callable[[Cancel], None]
"""Takes an owner's wish to have a request back."""

Forward = Callable[[bytes], None]
"""Takes one chunk of a stream: whole SSE events, in order. Does not block; called from the loop's thread."""


class Upstream(Protocol):
    """Calls models. Never raises for what an upstream does; `CancelledError` aborts the call."""

    async def call(self, call: Call, forward: Forward) -> CallEnd:
        """Make one call, no retries."""
        ...

    async def close(self) -> None:
        """Close all connections."""
        ...


class Sources(Protocol):
    """Where records come from, and where finished offsets are committed."""

    async def poll(self, timeout_s: float) -> list[tuple[Tenure, Sequence[SourceRecord]]]:
        """Records that arrived, by tenure; empty after `wake` or `timeout_s`."""
        ...

    def wake(self) -> None:
        """Make a waiting `poll` return now."""
        ...

    def held(self) -> list[tuple[Tenure, Sequence[SourceRecord]]]:
        """Records that were held for a call elsewhere which is now known to be lost."""
        ...

    async def prove(self) -> None:
        """Find out which partitions are still owned; what was lost to others is forsaken then."""
        ...

    def commit(self) -> None:
        """Commit contiguous finished prefixes, as often as configured; does not wait."""
        ...


class Reader(Protocol):
    """Who takes the records of owned partitions."""

    def room(self, tenure: Tenure) -> bool:
        """Whether more of this partition may be read."""
        ...

    def revoked(self) -> None:
        """Partitions went elsewhere."""
        ...


class Clock(Protocol):
    """Time as the shells know it; only composition roots name the `time` module."""

    def now_ms(self) -> int:
        """Epoch milliseconds by the broker's clock."""
        ...

    def monotonic(self) -> float:
        """Seconds, never going back."""
        ...
