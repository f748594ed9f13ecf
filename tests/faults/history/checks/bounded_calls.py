"""P3: upstream calls <= recorded attempts + calls in flight at each crash, request by request."""

from collections.abc import Iterator
from itertools import pairwise

from faults.history.evidence import Evidence
from faults.history.records import digest
from faults.history.violation import Promise, Violation
from headrace.cli.mock.log import LoggedCall, Outcome


def bounded_calls(evidence: Evidence) -> Iterator[Violation]:
    """No call that nothing recorded, none beside another, none after a whole answer."""
    for request_id, calls in evidence.calls.items():
        if request_id not in evidence.requests:
            yield Violation(Promise.P3, request_id, f"{len(calls)} calls for no known request")
            continue
        yield from _counted(evidence, request_id, calls)
        yield from _after_success(evidence, request_id, calls)
        yield from _same_request(evidence, request_id, calls)


def re_executed(evidence: Evidence) -> tuple[int, int]:
    """Calls made again though the one before had not failed, and how many crashes allow: for the table.

    A call that was dropped counts too, whoever dropped it; a time-out of a dispatcher looks like that.
    """
    again = allowed = 0
    for calls in evidence.calls.values():
        allowed += sum(evidence.held(call) for call in calls)
        again += sum(_is_whole(call) or _was_cut(call) for call in calls[:-1])
    return again, allowed


def _counted(evidence: Evidence, request_id: str, calls: list[LoggedCall]) -> Iterator[Violation]:
    finals = evidence.finals.get(request_id, [])
    rows = evidence.terminals.get(request_id, [])
    if not finals and not rows:
        return  # without an end nothing is recorded yet; P1 tells of it
    recorded = max(
        *(final.reply.attempts for final in finals), *(one.row.attempts for one in rows), 0, 0
    )
    held = sum(evidence.held(call) for call in calls)
    if len(calls) > recorded + held:
        what = f"{len(calls)} calls, {recorded} attempts recorded, {held} held at a crash"
        yield Violation(Promise.P3, request_id, what, _numbers(calls))


def _after_success(
    evidence: Evidence, request_id: str, calls: list[LoggedCall]
) -> Iterator[Violation]:
    for earlier, later in pairwise(calls):
        if evidence.held(earlier):
            continue
        if _is_whole(earlier):
            what = "it was called again after a whole answer"
            yield Violation(Promise.P3, request_id, what, _numbers([earlier, later]))
        end = earlier.finished
        if end is None or end.finished_at > later.received.received_at:
            what = "two of its calls ran at the same time"
            yield Violation(Promise.P3, request_id, what, _numbers([earlier, later]))


def _same_request(
    evidence: Evidence, request_id: str, calls: list[LoggedCall]
) -> Iterator[Violation]:
    """Each call carries the request's own body, and all the same key, by which an upstream may know it."""
    keys = {call.received.idempotency_key for call in calls}
    if len(keys) > 1:
        what = f"its calls carry {len(keys)} idempotency keys"
        yield Violation(Promise.P3, request_id, what, _numbers(calls))
    bodies = {digest(record.value) for record in evidence.requests[request_id]}
    if not bodies.issuperset(call.received.body_sha256 for call in calls):
        what = "the upstream got another body than its record has"
        yield Violation(Promise.P3, request_id, what, _numbers(calls))


def _is_whole(call: LoggedCall) -> bool:
    end = call.finished
    return (
        end is not None and end.outcome is Outcome.ANSWERED and end.status == 200 and not end.fault
    )


def _was_cut(call: LoggedCall) -> bool:
    return call.finished is None or call.finished.outcome is not Outcome.ANSWERED


def _numbers(calls: list[LoggedCall]) -> tuple[str, ...]:
    return tuple(f"call {call.received.seq}" for call in calls)
