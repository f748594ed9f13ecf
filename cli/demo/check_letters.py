"""Rules about dead letters (P15): whose they are, and that each is complete."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

import msgspec

from headrace.cli.demo.check_answers import requests_by_id
from headrace.cli.demo.evidence import Evidence, Kill, Record, was_held
from headrace.cli.demo.findings import Finding, Kind, Rules
from headrace.cli.mock.log import LoggedCall, Outcome
from headrace.schemas.headers import H
from headrace.schemas.records import Attempt

_history = msgspec.json.Decoder(tuple[Attempt, ...])


def check_letters(
    evidence: Evidence, rules: Rules, calls: dict[str, list[LoggedCall]]
) -> Iterator[Finding]:
    """One dead letter for each request that can never succeed, and none for any other."""
    letters: defaultdict[str, list[Record]] = defaultdict(list)
    for letter in evidence.dump.dead_letters:
        letters[letter.header(H.ID)].append(letter)
    impossible = {a.request_id for a in evidence.history if a.model in rules.impossible}
    for request_id in sorted(impossible):
        if len(letters[request_id]) != 1:
            what = f"{len(letters[request_id])} dead letters, not 1"
            yield Finding(Kind.DEAD_LETTER, request_id, what)
    records = requests_by_id(evidence)
    for request_id, mine in letters.items():
        if request_id not in impossible:
            for letter in mine:
                why = f"it was not to have one; reason {letter.header(H.REASON)}"
                yield Finding(Kind.DEAD_LETTER, request_id, why)
            continue
        for letter, record in ((each, one) for each in mine for one in records.get(request_id, [])):
            made = calls.get(request_id, [])
            for what in (
                *_missing(letter, record),
                *_history_holds(letter, made, evidence.kill),
            ):
                yield Finding(Kind.DEAD_LETTER, request_id, what)


def _missing(letter: Record, record: Record) -> Iterator[str]:
    """What of the original, or of its place, the dead letter does not hold."""
    if letter.value != record.value:
        yield "its value is not the request's, byte for byte"
    if (dict(letter.headers).get(H.SOURCE_KEY)) != record.key:
        yield "it does not hold the request's key"
    kept = dict(letter.headers)
    for name, value in record.headers:
        if kept.get(name) != value:
            yield f"the request's header {name} is missing or changed"
    if not letter.header(H.REASON):
        yield "no reason"
    place = (H.SOURCE_TOPIC, H.SOURCE_PARTITION, H.SOURCE_OFFSET)
    told = tuple(letter.header(name) for name in place)
    if told != (record.topic, str(record.partition), str(record.offset)):
        yield f"its source is {told}"


def _history_holds(letter: Record, calls: list[LoggedCall], kill: Kill | None) -> Iterator[str]:
    """The statuses that the upstream gave, in order; only a crash may hide how a call ended."""
    try:
        history = _history.decode(letter.header(H.HISTORY))
    except msgspec.MsgspecError:
        yield "its attempt history cannot be read"
        return
    told = [attempt.status for attempt in history if attempt.status]
    hidden = len(history) - len(told) + sum(was_held(call, kill) for call in calls)
    answered = [c.finished for c in calls if c.finished and c.finished.outcome is Outcome.ANSWERED]
    gave = [end.status for end in answered]
    if not told or not is_part(told, gave) or len(gave) - len(told) > hidden:
        yield f"its history tells of statuses {told}, the upstream gave {gave}"


def is_part(part: Sequence[int], whole: Sequence[int]) -> bool:
    """Whether `whole` is `part` with more in between."""
    left = iter(whole)
    return all(value in left for value in part)
