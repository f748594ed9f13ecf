"""P1: what was acknowledged has reached a terminal state, and its owner can see it in time."""

from collections.abc import Iterator

from faults.history.events import Ok, Way
from faults.history.evidence import Asked, Evidence
from faults.history.records import Record, headers_of
from faults.history.violation import Promise, Violation
from headrace.schemas.headers import H
from headrace.schemas.names import Outcome

LATE_MS = 30_000
"""After its deadline a request has its end within this time."""


def no_acknowledged_loss(evidence: Evidence) -> Iterator[Violation]:
    """Each acknowledged request is in a lane, and each record of a lane has its end."""
    yield from _in_no_lane(evidence)
    if not evidence.run.settled:
        return
    known = evidence.of_id()
    for request_id, records in evidence.requests.items():
        ends = ends_of(evidence, request_id)
        if not ends:
            told = _told(known.get(request_id, []))
            places = tuple(record.place for record in records)
            yield Violation(Promise.P1, request_id, f"it has no end; its client: {told}", places)
        else:
            yield from _in_time(request_id, records[0], min(ends))
        yield from _many_ends(evidence, request_id)
        yield from _unseen_end(evidence, request_id, records[0])


def ends_of(evidence: Evidence, request_id: str) -> list[int]:
    """When the request reached a terminal state, by each record that says so."""
    finals = [one.place for one in evidence.finals.get(request_id, [])]
    rows = [one.place for one in evidence.terminals.get(request_id, [])]
    letters = evidence.letters.get(request_id, [])
    return [record.timestamp for record in (*finals, *rows, *letters)]


def _in_no_lane(evidence: Evidence) -> Iterator[Violation]:
    for asked in evidence.asked.values():
        acknowledged = asked.accepted is not None or isinstance(asked.outcome, Ok)
        if asked.invoke.way is Way.PEEK or not acknowledged:
            continue
        if asked.id not in evidence.requests:
            what = "it was acknowledged, and stands in no lane"
            yield Violation(Promise.P1, asked.name, what)


def _told(asked: list[Asked]) -> str:
    if not asked:
        return "none is known"
    outcome = asked[0].outcome
    return "still waits" if outcome is None else type(outcome).__name__.lower()


def _in_time(request_id: str, record: Record, ended_at: int) -> Iterator[Violation]:
    told = headers_of(record).get(H.DEADLINE_MS, b"")
    deadline = int(told) if told.isdigit() else 0  # a direct producer may have written anything
    if deadline and ended_at > deadline + LATE_MS:
        what = f"its end came {ended_at - deadline} ms after its deadline"
        yield Violation(Promise.P1, request_id, what, (record.place,))


def _unseen_end(evidence: Evidence, request_id: str, record: Record) -> Iterator[Violation]:
    """Owners of requests with a kind look at `status`: an answer that it does not tell is not visible."""
    kind = headers_of(record).get(H.KIND)
    if kind and request_id in evidence.finals and request_id not in evidence.terminals:
        what = f"a {kind.decode()} request has its answer, and `status` does not say so"
        yield Violation(Promise.P1, request_id, what, (record.place,))


def _many_ends(evidence: Evidence, request_id: str) -> Iterator[Violation]:
    """A dead letter is one end, an answer that says otherwise another."""
    finals = evidence.finals.get(request_id, [])
    letters = evidence.letters.get(request_id, [])
    outcomes = {final.reply.outcome for final in finals}
    if letters and finals and Outcome.DEAD_LETTERED not in outcomes:
        what = f"it is dead-lettered, and its answer says {finals[0].reply.outcome}"
        seen_at = (letters[0].place, finals[0].place.place)
        yield Violation(Promise.P1, request_id, what, seen_at)
