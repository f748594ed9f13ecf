"""A breaker that opens and closes while the rest of the demo runs.

The upstream fails the first calls of one model and works from then on; it counts them by their body, which
all of these requests share. Nobody loses an answer: what the breaker holds back waits.
"""

from collections.abc import Iterable, Sequence

from headrace.cli.demo.evidence import Tripped
from headrace.cli.mock.log import LoggedCall
from headrace.schemas.breakers import State, Transition

MODEL = "fragile"
FAILING = 14
"""Calls that fail, before any that works: about 12 open the breaker, the rest fail as probes."""
REQUESTS = 100
PER_S = 6.0
SCRIPT = {
    "fail": f"{FAILING}x500",
    "rate_5xx": "0",
    "rate_429": "0",
    "latency_ms": "20",
    "first_token_ms": "0",
    "tokens_per_s": "0",
}
"""What the upstream does with the model."""
BREAKER = {"open_s": 2, "longest_open_s": 2, "ramp_step_s": 1}
"""Short enough to be watched; 15, 300 and 5 are usual."""


def body(_number: int) -> dict[str, object]:
    """Of every request."""
    return {"model": MODEL, "messages": [{"role": "user", "content": "Are you well?"}]}


def tripped(
    calls: Iterable[LoggedCall], history: Sequence[Transition], statuses: Sequence[int]
) -> Tripped:
    """What upstream, breaker and clients say of it."""
    failed = [
        call.received.received_at
        for call in calls
        if call.received.model == MODEL and call.finished and call.finished.status >= 500
    ]
    moves = [one for one in history if one.deployment == MODEL]
    opened = [one.at_ms for one in moves if one.after is State.OPEN]
    closed = [one.at_ms for one in moves if one.after is State.CLOSED and opened]
    return Tripped(
        failed=len(failed),
        opened=len(opened),
        closed=len(closed),
        opened_after_ms=min(opened) - min(failed) if opened and failed else 0,
        closed_after_ms=max(closed) - min(opened) if closed else 0,
        asked=REQUESTS,
        answered=sum(status == 200 for status in statuses),
    )
