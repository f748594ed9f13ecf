"""P15: a dead letter holds the original byte for byte, why it died, its attempts and where it stood."""

from collections.abc import Iterator, Sequence

import msgspec

from faults.history.evidence import Evidence
from faults.history.records import Record, headers_of
from faults.history.violation import Promise, Violation
from headrace.cli.mock.log import LoggedCall, Outcome
from headrace.schemas.headers import H
from headrace.schemas.names import Outcome as End
from headrace.schemas.records import Attempt

PLACE = (H.SOURCE_TOPIC, H.SOURCE_PARTITION, H.SOURCE_OFFSET)
_history = msgspec.json.Decoder(tuple[Attempt, ...])


def complete_letters(evidence: Evidence) -> Iterator[Violation]:
    """Every dead-lettered request has its letter, and every letter is complete."""
    for request_id, finals in evidence.finals.items():
        ended = [one for one in finals if one.reply.outcome is End.DEAD_LETTERED]
        if ended and request_id not in evidence.letters:
            what = "its answer says dead_lettered, and there is no dead letter"
            yield Violation(Promise.P15, request_id, what, (ended[0].place.place,))
    for request_id, letters in evidence.letters.items():
        originals = evidence.requests.get(request_id, [])
        for letter in letters:
            for what in _faults_of(letter, originals, evidence, request_id):
                yield Violation(Promise.P15, request_id, what, (letter.place,))


def _faults_of(
    letter: Record, originals: list[Record], evidence: Evidence, request_id: str
) -> Iterator[str]:
    told = headers_of(letter)
    place = "-".join(told.get(name, b"").decode() for name in PLACE)
    sources = {f"{one.topic}-{one.partition}-{one.offset}": one for one in originals}
    source = sources.get(place)
    if source is None:
        yield f"its source {place} is no record of this request"
        return
    yield from _missing(letter, source, told)
    if not told.get(H.REASON):
        yield "no reason"
    exposed = evidence.exposed(source.timestamp, letter.timestamp)
    yield from _history_holds(told, evidence.calls.get(request_id, []), exposed=exposed)


def _missing(letter: Record, source: Record, told: dict[str, bytes]) -> Iterator[str]:
    if letter.value != source.value:
        yield "its value is not the request's, byte for byte"
    if told.get(H.SOURCE_KEY) != source.key:
        yield "it does not hold the request's key"
    for name, value in source.headers:
        if (name, value) not in letter.headers:
            yield f"the request's header {name} is missing or changed"


def _history_holds(
    told: dict[str, bytes], calls: list[LoggedCall], *, exposed: bool
) -> Iterator[str]:
    """The statuses that the upstream gave, in order; only a crash may hide how a call ended."""
    try:
        history = _history.decode(told.get(H.HISTORY, b"[]"))
    except msgspec.MsgspecError:
        yield "its attempt history cannot be read"
        return
    statuses = [attempt.status for attempt in history if attempt.status]
    hidden = len(calls) if exposed else len(history) - len(statuses)
    gave = [call.finished.status for call in calls if call.finished and call.finished.status]
    whole = sum(map(_answered, calls))  # of a call that was cut short its head may be known
    if not _is_part(statuses, gave) or whole - len(statuses) > hidden:
        yield f"its history tells of statuses {statuses}, the upstream gave {gave}"


def _answered(call: LoggedCall) -> bool:
    end = call.finished
    return end is not None and end.outcome is Outcome.ANSWERED


def _is_part(part: Sequence[int], whole: Sequence[int]) -> bool:
    """Whether `whole` is `part` with more in between."""
    left = iter(whole)
    return all(value in left for value in part)
