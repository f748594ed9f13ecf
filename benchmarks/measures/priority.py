"""B9: how long interactive requests waited, from their clients' clocks and the upstream's log. Pure."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from headrace.cli.mock.log import LoggedCall


class Sent(NamedTuple):
    """A request as its client sent it; epoch milliseconds."""

    body_sha256: str
    at_ms: int


def most_at_once(calls: Iterable[LoggedCall]) -> int:
    """How many calls the upstream held at a time, at most; an end counts before a start."""
    steps: list[tuple[int, int]] = []
    for call in calls:
        steps.append((call.received.received_at, 1))
        if call.finished is not None:
            steps.append((call.finished.finished_at, -1))
    running = most = 0
    for _, step in sorted(steps):
        running += step
        most = max(most, running)
    return most


def queue_waits_ms(sent: Sequence[Sent], calls: Sequence[LoggedCall]) -> list[float]:
    """From the client's sending to the upstream's receipt, of each request."""
    begins = _begins(calls)
    return [float(begins[one.body_sha256] - one.at_ms) for one in sent]


def late_after_ends_ms(sent: Sequence[Sent], calls: Sequence[LoggedCall]) -> list[float]:
    """How much later each request began than it could have.

    The first that waits could begin when the next call ends, the second with the one after that, and so on.
    """
    begins = _begins(calls)
    ends = sorted(call.finished.finished_at for call in calls if call.finished is not None)
    late: list[float] = []
    place = 0
    for one in sorted(sent, key=lambda each: each.at_ms):
        while place < len(ends) and ends[place] < one.at_ms:
            place += 1
        if place == len(ends):
            break
        late.append(float(begins[one.body_sha256] - ends[place]))
        place += 1
    return late


def _begins(calls: Iterable[LoggedCall]) -> dict[str, int]:
    return {call.received.body_sha256: call.received.received_at for call in calls}
