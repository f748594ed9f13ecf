"""P11: a stream is an ordered, gap-free prefix of one attempt, and says how it ends."""

from collections.abc import Iterator

from faults.history.events import End, Fail, Ok, Seen, Unknown, Way
from faults.history.evidence import Asked, Chunk, Evidence, Final, Source
from faults.history.http_ways import read_answer
from faults.history.sse import DONE, EventDigest, payloads
from faults.history.violation import Promise, Violation
from headrace.schemas.names import Outcome

SIGNED = "fp_"


def whole_prefix_of_one_attempt(evidence: Evidence) -> Iterator[Violation]:
    """What each client saw is how one run in the topics begins, and all of it where it says so."""
    for asked in evidence.asked.values():
        outcome = asked.outcome
        if asked.invoke.way is Way.STREAM and outcome is not None and outcome.seen.status == 200:
            for what in _stream(evidence, asked, outcome):
                yield Violation(Promise.P11, asked.name, what, (f"#{asked.invoke.number}",))
    for request_id, finals in evidence.finals.items():
        for final in finals:
            yield from _gaps(request_id, final, evidence.chunks.get(request_id, []))


def _stream(evidence: Evidence, asked: Asked, outcome: Ok | Fail | Unknown) -> Iterator[str]:
    seen = outcome.seen
    if seen.end is End.SILENT:
        yield f"the stream ended without a word after {seen.size} events"
    if seen.end is End.CUT and not _explained(evidence, outcome):
        yield f"the connection broke after {seen.size} events, and no fault explains it"
    if len([mark for mark in seen.marks if mark.startswith(SIGNED)]) > 1:
        yield f"events of several attempts: {', '.join(seen.marks)}"
    if not seen.size:
        return
    runs = events_by_run(
        evidence.chunks.get(asked.id, []), evidence.finals.get(asked.id, []), asked.id
    )
    matching = [source for source, events in runs.items() if _begins(events, seen)]
    if not matching:
        told = ", ".join(f"{run.attempt} by {run.process}: {len(e)}" for run, e in runs.items())
        yield f"its {seen.size} events are the beginning of no attempt ({told})"
    elif seen.end is End.DONE and all(len(runs[source]) != seen.size for source in matching):
        yield f"it ended as if whole after {seen.size} events; the attempt has more"


def _explained(evidence: Evidence, outcome: Ok | Fail | Unknown) -> bool:
    """A client that gave up has waited long enough; a broken connection needs a fault."""
    gave_up = isinstance(outcome, Unknown) and outcome.why.startswith("TimeoutError")
    return gave_up or any(
        not span.who.startswith("dispatcher") and span.at <= outcome.at for span in evidence.faults
    )


def events_by_run(
    chunks: list[Chunk], finals: list[Final], _request_id: str
) -> dict[Source, list[bytes]]:
    """The events of each run as far as it goes without a gap."""
    bodies: dict[Source, dict[int, bytes]] = {}
    for chunk in chunks:
        bodies.setdefault(chunk.source, {}).setdefault(chunk.seq, chunk.body)
    wholes: dict[Source, bytes] = {}
    for final in finals:
        if final.reply.status == 200:
            if final.reply.whole:
                wholes[final.source] = final.reply.body
            else:
                bodies.setdefault(final.source, {}).setdefault(final.reply.seq, final.reply.body)
    runs = {source: _joined(pieces) for source, pieces in bodies.items()} | wholes
    return {source: _events(raw) for source, raw in runs.items()}


def _joined(pieces: dict[int, bytes]) -> bytes:
    out = []
    seq = 1
    while seq in pieces:
        out.append(pieces[seq])
        seq += 1
    return b"".join(out)


def _events(raw: bytes) -> list[bytes]:
    """Without `[DONE]` and error objects, as the client counts them."""
    return [one for one in payloads(raw) if one != DONE and read_answer(one).error is None]


def _begins(events: list[bytes], seen: Seen) -> bool:
    if seen.size > len(events):
        return False
    digest = EventDigest()
    for event in events[: seen.size]:
        digest.add(event)
    return digest.hexdigest() == seen.sha256


def _gaps(request_id: str, final: Final, chunks: list[Chunk]) -> Iterator[Violation]:
    """A completed answer has all of its chunks before it; what is there twice readers drop."""
    if final.reply.outcome is not Outcome.COMPLETED or final.reply.seq == 1:
        return
    mine = [chunk.seq for chunk in chunks if chunk.source == final.source]
    if sorted(set(mine)) != list(range(1, final.reply.seq)):
        what = f"chunks {sorted(mine)} before a final with seq {final.reply.seq}"
        yield Violation(Promise.P11, request_id, what, (final.place.place,))
