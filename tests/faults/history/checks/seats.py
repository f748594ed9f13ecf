"""P5, of the limits that exist: an upstream never holds more calls than the fleet has seats."""

from collections import defaultdict
from collections.abc import Iterator

from faults.history.evidence import Evidence
from faults.history.violation import Promise, Violation


def seats_kept(evidence: Evidence) -> Iterator[Violation]:
    """Calls in flight by the upstream's own log, against the seats of the run. Models apart."""
    steps: defaultdict[str, list[tuple[int, int, int]]] = defaultdict(list)
    for calls in evidence.calls.values():
        for call in calls:
            begun, end = call.received, call.finished
            steps[begun.model].append((begun.received_at, 1, begun.seq))
            if end is not None:
                steps[begun.model].append((end.finished_at, -1, begun.seq))
    for model, limit in evidence.run.seats.items():
        most, number = _most_at_once(steps[model])
        if most > limit:
            what = f"{most} calls at once, {limit} seats"
            yield Violation(Promise.P5, model, what, (f"call {number}",))


def _most_at_once(steps: list[tuple[int, int, int]]) -> tuple[int, int]:
    """The most, and the call with which they were; an end counts before a start at the same ms."""
    running = most = number = 0
    for _, step, seq in sorted(steps):
        running += step
        if running > most:
            most, number = running, seq
    return most, number
