"""Rules about upstream calls, from the upstream's own log: bounded, one at a time, never early."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import pairwise

from headrace.cli.demo.evidence import Asked, Evidence, Kill, is_whole, was_cut, was_held
from headrace.cli.demo.finals import Final
from headrace.cli.demo.findings import Finding, Kind, Rules
from headrace.cli.mock.log import LoggedCall, Outcome

ASKED_TO_WAIT = (429, 503)
CLOCK_MS = 2
"""Two readings of a clock in whole milliseconds may hide so much."""


def calls_by_id(calls: Iterable[LoggedCall]) -> dict[str, list[LoggedCall]]:
    """The calls of each request id, in order of receipt."""
    by_id: defaultdict[str, list[LoggedCall]] = defaultdict(list)
    for call in calls:
        by_id[call.received.request_id].append(call)
    return dict(by_id)


def check_calls(
    evidence: Evidence,
    rules: Rules,
    finals: dict[str, list[Final]],
    calls: dict[str, list[LoggedCall]],
) -> Iterator[Finding]:
    """Calls <= recorded attempts + what was in flight at the kill (P3), request by request."""
    asked = {each.request_id: each for each in evidence.history if each.request_id}
    for request_id, mine in calls.items():
        owner = asked.get(request_id)
        if owner is None:
            yield Finding(Kind.CALLS, request_id, f"{len(mine)} calls for no known request")
            continue
        for what in (
            *_bodies(owner, mine),
            *_bounded(mine, finals.get(request_id, []), evidence.kill),
            *_one_at_a_time(mine, evidence.kill),
        ):
            yield Finding(Kind.CALLS, request_id, what)
        for what in _early(mine, rules):
            yield Finding(Kind.EARLY, request_id, what)
    for request_id in sorted(set(asked) & set(finals) - set(calls)):
        yield Finding(Kind.CALLS, request_id, "it was answered, and the upstream never saw it")


def _bodies(owner: Asked, mine: list[LoggedCall]) -> Iterator[str]:
    if {call.received.body_sha256 for call in mine} != {owner.body_sha256}:
        yield "the upstream got another body than the client sent"


def _bounded(mine: list[LoggedCall], finals: list[Final], kill: Kill | None) -> Iterator[str]:
    """Not more than recorded, and none after a success, but for what the kill explains."""
    held = sum(was_held(call, kill) for call in mine)
    recorded = max((final.reply.attempts for final in finals), default=0)
    if len(mine) > recorded + held:
        yield f"{len(mine)} calls, {recorded} attempts recorded, {held} held at the kill"
    for call in [call for call in mine[:-1] if is_whole(call)]:
        if not was_held(call, kill):
            yield f"it was called again after the whole answer of call {call.received.seq}"


def _one_at_a_time(mine: list[LoggedCall], kill: Kill | None) -> Iterator[str]:
    for earlier, later in pairwise(mine):
        end = earlier.finished
        if end is None or end.finished_at > later.received.received_at:
            yield f"call {later.received.seq} began while {earlier.received.seq} was running"
    for call in mine:
        end = call.finished
        if end is None or end.outcome is Outcome.STOPPED:
            yield f"call {call.received.seq} was still running at the end"
        elif end.outcome is not Outcome.ANSWERED and not was_cut(call, kill):
            yield f"call {call.received.seq} was dropped ({end.outcome}), and not by the kill"


def _early(mine: list[LoggedCall], rules: Rules) -> Iterator[str]:
    """P6, where the upstream said when to come again.

    Counted from the first moment at which its answer can have left: under load the line of the
    log that tells the end may be written later than that.
    """
    for earlier, later in pairwise(mine):
        end = earlier.finished
        if end is None or end.status not in ASKED_TO_WAIT:
            continue
        answered_at = earlier.received.received_at + rules.error_after_ms
        waited_ms = later.received.received_at - answered_at
        if waited_ms + CLOCK_MS < rules.retry_after_ms:
            asked_ms = rules.retry_after_ms
            yield f"called {waited_ms} ms after a {end.status} that asked for {asked_ms} ms"
