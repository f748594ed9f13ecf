"""A waiter: what is known of one request that waits for its answer, and of who asked."""

from collections import deque
from typing import Protocol

from headrace.ingress.refusal import Refusal
from headrace.schemas.errors import Code
from headrace.schemas.names import RequestId
from headrace.schemas.replies import Reply

RETRY_AFTER_S = 5
GRACE_AFTER_DEADLINE_S = 10.0
"""The dispatcher answers `expired` itself; only when that fails does the ingress speak."""


class Party(Protocol):
    """Who holds the other end of a waiter."""

    def wake(self) -> None:
        """Something of the waiter changed."""
        ...

    def cut(self) -> None:
        """Drop the client's connection: it does not read what was written to it."""
        ...


class Waiter:
    """One request that waits. Written by the board; read by its party."""

    __slots__ = (
        "attempt",
        "behind_since",
        "early",
        "ends_at",
        "failure",
        "final",
        "gap_since",
        "held",
        "id",
        "next_seq",
        "parts",
        "party",
        "passed",
        "queue_ms",
        "ready",
        "settled",
        "source",
        "stream",
        "tick",
        "touched_at",
        "upstream",
        "waits_until",
    )

    def __init__(
        self,
        request_id: RequestId,
        stream: bool,
        party: Party,
        now: float,
        waits_until: float,
        ends_at: float,
    ) -> None:
        self.id = request_id
        self.stream = stream
        self.party = party
        self.waits_until = waits_until
        """Without a first byte by then: `wait_too_long`."""
        self.ends_at = ends_at
        """Not over by then: `deadline_exceeded`, or the connection is cut."""
        self.touched_at = now
        """When the party last wrote to the client."""
        self.settled = False
        """True once nothing more can come: `final` or `failure` is set."""
        self.final: Reply | None = None
        self.failure: Refusal | None = None
        self.tick = False
        """True when a waiting stream should get a comment."""
        self.attempt = 0
        self.source = b""
        self.queue_ms = 0
        """Told by a stream's first chunk, as `upstream`, the deployment."""
        self.upstream = ""
        self.next_seq = 1
        self.ready: deque[bytes] | None = deque() if stream else None
        self.early: dict[int, Reply] | None = None
        self.parts: dict[int, list[bytes]] | None = None
        self.gap_since = 0.0
        self.behind_since = 0.0
        """When more than the backlog came to wait for a client that has taken nothing since; 0: never."""
        self.held = 0
        self.passed = 0
        """Bytes of the stream's chunks so far, which a whole final repeats."""

    def overlong(self) -> Refusal:
        """What it gets at `waits_until`."""
        return Refusal(
            Code.WAIT_TOO_LONG, "The request waited longer than a connection may; it is cancelled."
        )


class HeldWaiter(Waiter):
    """Waits for a request that outlives its connection. `keyed`: sent again, it finds its answer."""

    __slots__ = ("keyed",)

    keyed: bool

    def overlong(self) -> Refusal:
        """The answer can be picked up later."""
        return still_waiting(self.id, keyed=self.keyed)


def still_waiting(request_id: RequestId, *, keyed: bool) -> Refusal:
    """What a client gets whose request outlives its connection. `keyed`: sent again, it is attached."""
    return Refusal(
        Code.STILL_WAITING,
        "The request waited longer than a connection may; it goes on.",
        retry_after_s=RETRY_AFTER_S,
        location=f"/v1/jobs/{request_id}",
        again=keyed,
    )
