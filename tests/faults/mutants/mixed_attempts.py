"""The reply board takes chunks of whatever attempt as those of the stream it has begun."""

from faults.mutants.patching import replace
from headrace.ingress.board import ReplyBoard
from headrace.ingress.waiter import Waiter
from headrace.schemas.replies import Reply

ROLE = "ingress"


def apply() -> None:
    """Every reply is of the pinned attempt."""

    def pin(_self: ReplyBoard, waiter: Waiter, reply: Reply) -> bool:
        waiter.attempt, waiter.source = reply.attempt, reply.source
        return True

    replace(ReplyBoard, _pin=pin)
