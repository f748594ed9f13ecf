"""A limit that is kept while the rest of the demo runs: more requests than a minute allows.

The upstream enforces the same limit: it would answer one call too many with 429. Its own log tells how many
came within any 60 s. The others have less time than the minute, and are told that it will not do.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence

from headrace.cli.demo.evidence import Limited
from headrace.cli.mock.log import LoggedCall

MODEL = "quota"
LIMIT = 120
"""Requests a minute, of all dispatchers together."""
REQUESTS = 150
"""More than the limit: the last would have to wait until the first have left the minute."""
PER_S = 24.0
HEADERS = {"headrace-timeout": "15"}
"""Of each request: seconds that its client waits."""
LATE = (429, 504)
"""What ingress answers when it foresees that they will not do, and when they are over."""
WINDOW_MS = 60_000
SCRIPT = {
    "requests_per_minute": str(LIMIT),
    "rate_5xx": "0",
    "rate_429": "0",
    "latency_ms": "20",
    "first_token_ms": "0",
    "tokens_per_s": "0",
}
"""What the upstream does with the model."""


def body(number: int) -> dict[str, object]:
    """Of one request."""
    said = f"Request {number} of {REQUESTS} under a limit."
    return {"model": MODEL, "messages": [{"role": "user", "content": said}]}


def limited(calls: Iterable[LoggedCall], statuses: Sequence[int]) -> Limited:
    """What clients and upstream say of the limit."""
    mine = [call for call in calls if call.received.model == MODEL]
    refused = sum(call.finished is not None and call.finished.status == 429 for call in mine)
    return Limited(
        limit=LIMIT,
        most=most(mine),
        refused=refused,
        asked=REQUESTS,
        answered=sum(status == 200 for status in statuses),
        late=sum(status in LATE for status in statuses),
    )


def most(calls: Iterable[LoggedCall]) -> int:
    """How many calls the upstream received within any 60 s, at most."""
    times = sorted(call.received.received_at for call in calls)
    return max(
        (n - bisect_right(times, at - WINDOW_MS) for n, at in enumerate(times, 1)), default=0
    )
