"""P6: no call before its due time, whoever set it: a delay record, the upstream, or the client."""

from collections.abc import Iterator
from itertools import pairwise

from faults.history.evidence import Evidence
from faults.history.records import Record, headers_of
from faults.history.violation import Promise, Violation
from headrace.cli.mock.log import LoggedCall
from headrace.schemas.headers import H

CLOCK_MS = 2
"""Two readings of a clock in whole milliseconds may hide so much."""
ASKED_TO_WAIT = (429, 503)


def never_early(evidence: Evidence) -> Iterator[Violation]:
    """Each wait lasted as long as it had to."""
    for request_id, calls in evidence.calls.items():
        for delay in evidence.delays.get(request_id, ()):
            yield from _before_due(evidence, request_id, calls, delay)
        yield from _retry_after(evidence, request_id, calls)
    for asked in evidence.asked.values():
        first = evidence.calls.get(asked.id, [])[:1]
        for call in first:
            if call.received.received_at + CLOCK_MS < asked.invoke.not_before:
                what = "it was called before the time that its client named"
                yield Violation(Promise.P6, asked.id, what, (f"call {call.received.seq}",))


def _before_due(
    evidence: Evidence, request_id: str, calls: list[LoggedCall], delay: Record
) -> Iterator[Violation]:
    """Nothing begins between the delay record and its due time, unless a crash began the chain anew."""
    told = headers_of(delay)
    if H.PARKED_FROM in told:
        return  # a copy that waits for the end of a call; whatever that call leads to is not early
    due = int(told.get(H.DUE_MS, b"0"))
    for call in calls:
        began = call.received.received_at
        if not delay.timestamp < began < due - CLOCK_MS:
            continue
        before = [one for one in calls if one.received.seq < call.received.seq]
        if any(evidence.held(one) for one in before):
            continue
        what = f"called {due - began} ms before it was due"
        seen_at = (delay.place, f"call {call.received.seq}")
        yield Violation(Promise.P6, request_id, what, seen_at)


def _retry_after(
    evidence: Evidence, request_id: str, calls: list[LoggedCall]
) -> Iterator[Violation]:
    """Where the upstream said when to come again, counted from when its answer can have left."""
    asked_ms = evidence.run.retry_after_ms
    for earlier, later in pairwise(calls):
        end = earlier.finished
        if not asked_ms or end is None or end.status not in ASKED_TO_WAIT:
            continue
        if evidence.held(earlier):
            continue  # its answer may have died with the process that got it
        answered_at = earlier.received.received_at + evidence.run.error_after_ms
        waited_ms = later.received.received_at - answered_at
        if waited_ms + CLOCK_MS < asked_ms:
            what = f"called {waited_ms} ms after a {end.status} that asked for {asked_ms} ms"
            seen_at = (f"call {earlier.received.seq}", f"call {later.received.seq}")
            yield Violation(Promise.P6, request_id, what, seen_at)
