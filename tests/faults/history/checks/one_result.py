"""P2: one visible result a request. Repeats in the topics are dropped; a crash must explain them."""

from collections import defaultdict
from collections.abc import Iterator

from faults.history.events import End, Fail, Ok, Way
from faults.history.evidence import Asked, Evidence, Final, Terminal
from faults.history.records import digest
from faults.history.violation import Promise, Violation
from headrace.schemas.errors import Code
from headrace.schemas.names import Outcome

OURS = frozenset(code.value for code in Code)
"""Codes of errors that the ingress itself may answer with."""


def one_visible_result(evidence: Evidence) -> Iterator[Violation]:
    """Each client saw the first end of its request, and nobody else's."""
    yield from _shared_ids(evidence)
    yield from _equal_answers(evidence)
    for asked in evidence.asked.values():
        yield from _first_end(asked, evidence.finals.get(asked.id, []))
        yield from _first_row(asked, evidence.terminals.get(asked.id, []))
    for request_id, finals in evidence.finals.items():
        yield from _unexplained(evidence, request_id, finals)


def duplicates(evidence: Evidence) -> int:
    """Ends that stand in the topics beyond the first of each request: for the table."""
    return sum(len(finals) - 1 for finals in evidence.finals.values())


def _shared_ids(evidence: Evidence) -> Iterator[Violation]:
    owners: dict[str, Asked] = {}
    for asked in evidence.asked.values():
        if not isinstance(asked.outcome, Ok) or asked.invoke.way in (Way.KEYED, Way.PEEK):
            continue
        other = owners.setdefault(asked.id, asked)
        if other is not asked:
            numbers = (f"#{other.invoke.number}", f"#{asked.invoke.number}")
            yield Violation(Promise.P2, asked.id, "two clients got an answer with this id", numbers)


def _equal_answers(evidence: Evidence) -> Iterator[Violation]:
    """Requests of one tenant with one key have one id and one answer."""
    groups: defaultdict[tuple[str, str], list[Asked]] = defaultdict(list)
    for asked in evidence.asked.values():
        if asked.invoke.key and isinstance(asked.outcome, Ok):
            groups[(asked.invoke.tenant, asked.invoke.key)].append(asked)
    for (tenant, key), members in groups.items():
        answers = {(one.id, one.outcome.seen.sha256) for one in members if one.outcome}
        if len(answers) > 1:
            numbers = tuple(f"#{one.invoke.number}" for one in members)
            what = f"{len(answers)} different answers"
            yield Violation(Promise.P2, f"{tenant}/{key}", what, numbers)


def _first_end(asked: Asked, finals: list[Final]) -> Iterator[Violation]:
    """A plain answer is the first final, or an error of the ingress itself."""
    outcome = asked.outcome
    if not isinstance(outcome, Ok | Fail) or outcome.seen.end is not End.WHOLE:
        return
    if asked.invoke.way is Way.PEEK:
        return
    seen = outcome.seen
    by_ingress = seen.code in OURS
    if not finals:
        if not by_ingress:
            what = "its client has an answer that stands in no topic"
            yield Violation(Promise.P2, asked.name, what)
        return
    digests = [digest(final.reply.body) for final in finals]
    if seen.sha256 == digests[0] or by_ingress:
        return
    places = tuple(final.place.place for final in finals)
    if seen.sha256 in digests:
        which = digests.index(seen.sha256) + 1
        what = f"its client saw end {which} of {len(finals)}, not the first"
        yield Violation(Promise.P2, asked.name, what, places)
    else:
        yield Violation(Promise.P2, asked.name, "its client saw none of its ends", places)


def _first_row(asked: Asked, rows: list[Terminal]) -> Iterator[Violation]:
    """The first terminal row of a job is its outcome, whatever is written later."""
    outcome = asked.outcome
    if asked.accepted is None or asked.invoke.way is not Way.JOB or not rows:
        return
    first = rows[0]
    completed = first.row.outcome is Outcome.COMPLETED
    if isinstance(outcome, Ok | Fail) and isinstance(outcome, Ok) is not completed:
        saw = type(outcome).__name__.lower()
        what = f"its client saw {saw}, and the first row says {first.row.outcome}"
        yield Violation(Promise.P2, asked.id, what, (first.place.place,))


def _unexplained(evidence: Evidence, request_id: str, finals: list[Final]) -> Iterator[Violation]:
    """A second end needs a crash before it."""
    if len(finals) < 2:
        return
    begun = [record.timestamp for record in evidence.requests.get(request_id, [])]
    since, until = min(begun, default=0), finals[-1].place.timestamp
    if any(span.at <= until and span.until >= since for span in evidence.faults):
        return
    places = tuple(final.place.place for final in finals)
    what = f"{len(finals)} ends, and no fault that explains them"
    yield Violation(Promise.P2, request_id, what, places)
