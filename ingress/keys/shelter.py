"""Where the answers of broken requests wait for whoever takes them up. Sans-IO.

How it works. A plain request's answer comes to this process alone. When its connection breaks, its
waiter leaves the reply board and the request comes in here for a grace; the board hands over the
replies that nobody on it waits for. Then one of three things happens:

- a repeat comes to this process: `adopt` gives it the replies so far, and the board takes the rest;
- a repeat comes to another replica: `send_on` gives the replies so far, and `deliver` names that
  replica for each later one, so that it is written there;
- nobody comes: `sweep` tells, and the request is cancelled.
"""

from dataclasses import dataclass, field

from headrace.schemas.errors import CATALOGUE, Code, error_body
from headrace.schemas.names import InstanceId, Outcome, RequestId
from headrace.schemas.replies import Cancel, Reply

MAX_BYTES = 64 * 1024 * 1024
"""Answers kept for clients that may come back; beyond it one more is given up."""


@dataclass(slots=True)
class _Guest:
    cancel: Cancel
    """What is written when nobody comes for it."""
    leaves_at: float
    """Monotonic: the end of the grace, or, once it is sent on, of the request itself."""
    replies: list[Reply] = field(default_factory=list)
    size: int = 0
    taker: InstanceId | None = None
    lost: bool = False
    """There was no room for a reply: whoever takes it up is told so."""


class Shelter:
    """Requests without a client, by id."""

    def __init__(self) -> None:
        self._guests: dict[RequestId, _Guest] = {}
        self.held_bytes = 0

    def __len__(self) -> int:
        return len(self._guests)

    def __contains__(self, request_id: RequestId) -> bool:
        return request_id in self._guests

    @property
    def sends_on(self) -> bool:
        """Whether a repeat waits elsewhere for what comes here."""
        return any(guest.taker is not None for guest in self._guests.values())

    def take_in(self, cancel: Cancel, until: float) -> None:
        """Keep what comes for a request until then (monotonic seconds), which `cancel` would take back."""
        self._guests[cancel.id] = _Guest(cancel, until)

    def deliver(self, reply: Reply) -> InstanceId | None:
        """Take a reply that nobody on the board waits for; returns where to send it on, if anywhere."""
        guest = self._guests.get(reply.id)
        if guest is None:
            return None
        if guest.taker is not None:
            if reply.final and reply.part[0] == reply.part[1]:
                self._dismiss(reply.id)
            return guest.taker
        size = len(reply.body)
        if guest.lost or self.held_bytes + size > MAX_BYTES:
            self._lose(reply.id, guest)
        else:
            guest.replies.append(reply)
            guest.size += size
            self.held_bytes += size
        return None

    def adopt(self, request_id: RequestId) -> list[Reply]:
        """A repeat waits for it in this process from now on; what has come for it so far."""
        return self._dismiss(request_id)

    def send_on(self, request_id: RequestId, taker: InstanceId, until: float) -> list[Reply]:
        """A repeat waits in `taker` from now on: what has come so far, to be written there. Later
        replies are named for it until the final, or `until`.
        """
        guest = self._guests.get(request_id)
        if guest is None:
            return []
        replies = self._dismiss(request_id)
        if not (replies and replies[-1].final and replies[-1].part[0] == replies[-1].part[1]):
            self._guests[request_id] = _Guest(guest.cancel, until, taker=taker)
        return replies

    def sweep(self, now: float) -> list[Cancel]:
        """Forget who stayed too long; the cancels of those that nobody wants."""
        gone = [(name, guest) for name, guest in self._guests.items() if now >= guest.leaves_at]
        for request_id, _ in gone:
            self._dismiss(request_id)
        return [guest.cancel for _, guest in gone if guest.taker is None]

    def _lose(self, request_id: RequestId, guest: _Guest) -> None:
        self.held_bytes -= guest.size
        guest.size = 0
        guest.lost = True
        guest.replies = [_lost(request_id)]

    def _dismiss(self, request_id: RequestId) -> list[Reply]:
        guest = self._guests.pop(request_id, None)
        if guest is None:
            return []
        self.held_bytes -= guest.size
        return guest.replies


def _lost(request_id: RequestId) -> Reply:
    body = error_body(
        Code.REPLY_LOST, "There was no room for the answer while nobody waited for it."
    )
    return Reply(
        id=request_id,
        body=body,
        final=True,
        status=CATALOGUE[Code.REPLY_LOST].status,
        outcome=Outcome.FAILED,
        code=Code.REPLY_LOST.value,
    )
