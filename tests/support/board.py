"""A reply board with one waiter, and replies for it."""

from headrace.ingress.board import BoardPolicy, ReplyBoard
from headrace.ingress.waiter import Waiter
from headrace.schemas.errors import Code
from headrace.schemas.names import RequestId
from headrace.schemas.replies import Reply

KEEPALIVE_S = 10.0
POLICY = BoardPolicy(
    max_waiters=3, max_bytes=1000, max_stream_backlog_bytes=100, keepalive_s=KEEPALIVE_S
)


class RecordingParty:
    """Counts its calls."""

    def __init__(self) -> None:
        self.wakes = 0
        self.cuts = 0

    def wake(self) -> None:
        """Of `Party`."""
        self.wakes += 1

    def cut(self) -> None:
        """Of `Party`."""
        self.cuts += 1


def waiting(
    *, stream: bool = False, name: str = "r", policy: BoardPolicy = POLICY
) -> tuple[ReplyBoard, Waiter, RecordingParty]:
    """A board with one waiter, and its party."""
    board, party = ReplyBoard(policy), RecordingParty()
    waiter = Waiter(RequestId(name), stream, party, now=0.0, waits_until=60.0, ends_at=100.0)
    board.expect(waiter)
    return board, waiter, party


def chunk(seq: int, body: bytes = b".", *, attempt: int = 1) -> Reply:
    """A chunk of the request `r`."""
    return Reply(id=RequestId("r"), body=body, seq=seq, attempt=attempt)


def final(
    seq: int = 1, body: bytes = b"end", *, attempt: int = 1, part: tuple[int, int] = (1, 1)
) -> Reply:
    """A final of the request `r`."""
    return Reply(id=RequestId("r"), body=body, seq=seq, attempt=attempt, final=True, part=part)


def failed(waiter: Waiter) -> Code | None:
    """The code that the waiter failed with, if it did."""
    return None if waiter.failure is None else waiter.failure.code
