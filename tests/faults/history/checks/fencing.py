"""P13: what an older owner or attempt writes never overrides a newer one."""

from collections import defaultdict
from collections.abc import Iterator

from faults.history.events import End, Ok, Way
from faults.history.evidence import Asked, Evidence, Source
from faults.history.records import digest, log_order
from faults.history.violation import Promise, Violation


def no_older_output(evidence: Evidence) -> Iterator[Violation]:
    """Positions only grow, a number is one attempt's, and clients saw nothing that was overtaken."""
    yield from _positions_grow(evidence)
    for request_id in evidence.chunks.keys() | evidence.finals.keys():
        yield from _reused(evidence, request_id)
    for asked in evidence.asked.values():
        if isinstance(asked.outcome, Ok) and asked.invoke.way is not Way.PEEK:
            yield from _overtaken(evidence, asked, asked.outcome)


def _positions_grow(evidence: Evidence) -> Iterator[Violation]:
    last: dict[tuple[str, str, int], int] = {}
    for commit in evidence.commits:
        place = (commit.group, commit.topic, commit.partition)
        before = last.get(place, 0)
        if commit.position < before:
            what = f"a commit of {commit.position} after one of {before}"
            subject = f"{commit.topic}-{commit.partition}"
            yield Violation(Promise.P13, subject, what, (f"commit {commit.order}",))
        last[place] = commit.position


def _reused(evidence: Evidence, request_id: str) -> Iterator[Violation]:
    """An attempt's number on the output of two processes needs a crash before the journal knew of it."""
    processes: defaultdict[int, set[str]] = defaultdict(set)
    for source in _sources(evidence, request_id):
        processes[source.attempt].add(source.process)
    calls = evidence.calls.get(request_id, [])
    if any(evidence.held(call) for call in calls):
        return
    for attempt, names in processes.items():
        if len(names) > 1:
            what = f"attempt {attempt} has output of {len(names)} processes"
            yield Violation(Promise.P13, request_id, what, tuple(sorted(names)))


def _sources(evidence: Evidence, request_id: str) -> list[Source]:
    chunks = [chunk.source for chunk in evidence.chunks.get(request_id, [])]
    called = [one for one in evidence.finals.get(request_id, []) if one.reply.upstream]
    return chunks + [final.source for final in called]


def _overtaken(evidence: Evidence, asked: Asked, outcome: Ok) -> Iterator[Violation]:
    """A whole answer of an older attempt, though a newer one's end stood before it."""
    finals = evidence.finals.get(asked.id, [])
    if len(finals) < 2 or outcome.seen.end is not End.WHOLE:
        return
    shown = [final for final in finals if digest(final.reply.body) == outcome.seen.sha256]
    if not shown:
        return
    first = shown[0]
    for other in finals:
        newer = other.source.attempt > first.source.attempt
        if newer and log_order(other.place) < log_order(first.place):
            what = f"its client saw attempt {first.source.attempt}, overtaken by a newer one"
            seen_at = (other.place.place, first.place.place)
            yield Violation(Promise.P13, asked.id, what, seen_at)
            return
