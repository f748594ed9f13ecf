"""Rules about ends: each request has one, its client saw it, and it is the upstream's answer."""

from collections import defaultdict
from collections.abc import Iterator

from headrace.cli.demo.answers import plain_digest, stream_digest
from headrace.cli.demo.evidence import Asked, Evidence, Record, was_held
from headrace.cli.demo.finals import Chunk, Final, chunks_by_id
from headrace.cli.demo.findings import AnswerOf, Finding, Kind, Rules
from headrace.schemas.headers import H
from headrace.schemas.names import LaneName
from headrace.schemas.topics import Topics


def requests_by_id(evidence: Evidence) -> dict[str, list[Record]]:
    """The lane records of each request id."""
    records: defaultdict[str, list[Record]] = defaultdict(list)
    for record in evidence.dump.requests:
        records[record.header(H.ID)].append(record)
    return dict(records)


def check_records(evidence: Evidence, rules: Rules) -> Iterator[Finding]:
    """Each request that was answered stands once in its lane, with the body that was sent."""
    topics = Topics(rules.prefix)
    records = requests_by_id(evidence)
    asked_for = {asked.request_id for asked in evidence.history if asked.request_id}
    for asked in evidence.history:
        mine = records.get(asked.request_id, [])
        if asked.request_id and len(mine) != 1:
            yield Finding(Kind.UNKNOWN, asked.name, f"{len(mine)} records in the lanes, not 1")
        for record in mine:
            if record.topic != topics.requests(LaneName(asked.lane)):
                yield Finding(Kind.UNKNOWN, asked.name, f"sent to {asked.lane}, in {record.topic}")
            if plain_digest(record.value or b"") != asked.body_sha256:
                yield Finding(Kind.WRONG, asked.name, "its record has another body than was sent")
    for request_id in sorted(set(records) - asked_for):
        yield Finding(Kind.UNKNOWN, request_id, "a record in a lane whose client has no answer")


def check_answers(
    evidence: Evidence, rules: Rules, finals: dict[str, list[Final]], answer_of: AnswerOf
) -> Iterator[Finding]:
    """Nothing lost, nothing doubled, and every answer byte for byte the upstream's."""
    records = requests_by_id(evidence)
    chunks = chunks_by_id(evidence.dump.replies)
    held = {c.received.request_id for c in evidence.calls if was_held(c, evidence.kill)}
    yield from _same_id_twice(evidence)
    for request_id in sorted(set(records) - set(finals)):
        yield Finding(Kind.LOST, request_id, "its record was accepted and has no final answer")
    for request_id, mine in finals.items():
        yield from _one_final(request_id, mine, request_id in held)
    for asked in evidence.history:
        yield from _ended(asked, rules)
        mine = finals.get(asked.request_id, [])
        if not mine:
            continue
        yield from _same_answer(asked, mine[0], chunks.get(asked.request_id, []))
        if asked.request_id in records and asked.model not in rules.impossible:
            expected = answer_of(records[asked.request_id][0])
            whole = _whole(mine[0], chunks.get(asked.request_id, []))
            if whole != expected:
                what = f"{len(whole)} bytes in replies, {len(expected)} from upstream, not the same"
                yield Finding(Kind.WRONG, asked.name, what)


def _ended(asked: Asked, rules: Rules) -> Iterator[Finding]:
    if asked.status == 0 or asked.ended_at == 0:
        yield Finding(Kind.LOST, asked.name, f"no answer came: {asked.error or 'it still waits'}")
    elif asked.model in rules.impossible:
        if asked.status < 500:
            yield Finding(Kind.WRONG, asked.name, f"can never succeed, and got {asked.status}")
    elif asked.status != 200 or asked.error:
        yield Finding(Kind.LOST, asked.name, f"status {asked.status}: {asked.error}")


def _same_id_twice(evidence: Evidence) -> Iterator[Finding]:
    seen: set[str] = set()
    for asked in evidence.history:
        if asked.request_id and asked.request_id in seen:
            yield Finding(Kind.DOUBLED, asked.name, "two clients got an answer with this id")
        seen.add(asked.request_id)


def _one_final(request_id: str, finals: list[Final], held: bool) -> Iterator[Finding]:
    """A second final is no duplicate that anybody sees only where a kill explains it."""
    runs = {final.run for final in finals}
    explained = held and len(runs) == len(finals) == 2
    if len(finals) > 1 and not explained:
        attempts = [final.run.attempt for final in finals]
        yield Finding(Kind.DOUBLED, request_id, f"{len(finals)} finals, of attempts {attempts}")


def _same_answer(asked: Asked, final: Final, chunks: list[Chunk]) -> Iterator[Finding]:
    """What the client saw is what the topic says."""
    if final.reply.status != asked.status:
        what = f"status {asked.status} at the client, {final.reply.status} in replies"
        yield Finding(Kind.WRONG, asked.name, what)
    mine = [chunk.seq for chunk in chunks if chunk.run == final.run]
    if len(set(mine)) != len(mine):
        yield Finding(Kind.DOUBLED, asked.name, "a chunk of its stream stands twice in replies")
    if sorted(set(mine)) != list(range(1, final.reply.seq)):
        what = f"chunks {sorted(set(mine))} before the final {final.reply.seq}"
        yield Finding(Kind.WRONG, asked.name, what)
    if asked.answer_sha256 != _digest(asked, _whole(final, chunks)):
        yield Finding(Kind.WRONG, asked.name, "the client saw another answer than replies holds")


def _whole(final: Final, chunks: list[Chunk]) -> bytes:
    mine = {chunk.seq: chunk.body for chunk in chunks if chunk.run == final.run}
    return b"".join(body for _, body in sorted(mine.items())) + final.body


def _digest(asked: Asked, answer: bytes) -> str:
    """In the way in which the client took it; an error is never a stream."""
    if not asked.stream or asked.status != 200:
        return plain_digest(answer)
    try:
        return stream_digest(answer)
    except ValueError:
        return "not a stream of events"
