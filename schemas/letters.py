"""Dead letters as they are read again: what one tells, the replay that is made of it, and its mark.

A replay is the first record once more: value, key and headers byte for byte, but for what must be new
(`replay_headers`). A *mark* then stands on `dead-letters`, in the letter's partition and so after it:
no value, and headers that name the letter's offset. A letter with a mark is not replayed by accident.
"""

import msgspec

from headrace.schemas.headers import ALIASES, H
from headrace.schemas.names import Kind, LaneName, RequestId
from headrace.schemas.records import SPEC_VERSION, Attempt
from headrace.schemas.retries import Source, first_headers, source_of
from headrace.schemas.topics import Topics
from headrace.schemas.wire import Headers

REPLAYED_TYPE = b"headrace.replayed"
SHOWN = 256
"""Characters of a header that are shown; what a producer wrote there may be anything."""
_ID_NAMES = frozenset((H.ID.value, *(alias for alias, name in ALIASES.items() if name is H.ID)))
_NOT_OF_JOBS = frozenset(
    (
        H.REPLY_INSTANCE.value,
        H.IDEMPOTENCY_KEY.value,
        *(alias for alias, name in ALIASES.items() if name in (H.REPLY_TOPIC, H.REPLY_PARTITION)),
    )
)
_history = msgspec.json.Decoder(tuple[Attempt, ...])


class _Named(msgspec.Struct):
    model: str = ""


_named = msgspec.json.Decoder(_Named)


class Letter(msgspec.Struct, frozen=True, kw_only=True):
    """One dead letter without its value. Texts but the id are fit to be shown; times are epoch ms."""

    id: RequestId
    partition: int
    offset: int
    """Where it stands on `dead-letters`."""
    at_ms: int
    reason: str
    tenant: str
    model: str
    """As a header or the body names it; empty where neither can be read."""
    lane: LaneName | None
    """Told by the source topic; None where that is none of ours."""
    kind: str
    """`headrace-kind`; empty for a plain request."""
    reply_topic: str
    source: Source
    history: tuple[Attempt, ...]
    replays: int
    """How many replays led to this letter: 0 on the first one."""
    size: int
    headers: Headers
    """The producer's own, as `first_headers` gives them."""


class Mark(msgspec.Struct, frozen=True):
    """That the letter at `offset` of the mark's own partition was replayed."""

    id: RequestId
    offset: int
    replays: int
    replayed_as: str
    """The id of the replay, where it is not the letter's own."""


def read_letter(
    topics: Topics,
    *,
    partition: int,
    offset: int,
    timestamp_ms: int,
    key: bytes | None,
    value: bytes | None,
    headers: Headers,
) -> Letter | Mark | None:
    """A record of `dead-letters`. None for a record that is neither letter nor mark. Never raises."""
    known = dict(headers)
    request_id = RequestId((key or b"").decode(errors="replace"))
    if known.get(H.TYPE) == REPLAYED_TYPE:
        numbers = (_number(known.get(H.SOURCE_OFFSET)), _number(known.get(H.REPLAYS)))
        return Mark(request_id, *numbers, _text(known.get(H.REPLAYED_AS)))
    if H.REASON not in known:
        return None
    source = source_of(
        [*headers, (H.ACCEPTED_MS.value, b"0")],
        topic="",
        partition=0,
        offset=0,
        key=None,
        timestamp_ms=0,
    )
    return Letter(
        id=request_id,
        partition=partition,
        offset=offset,
        at_ms=timestamp_ms,
        reason=_text(known.get(H.REASON)),
        tenant=_text(known.get(H.TENANT)) or "default",
        model=_text(known.get(H.MODEL)) or _model(value),
        lane=topics.lane_of(source.topic),
        kind=_text(known.get(H.KIND)),
        reply_topic=_text(known.get(H.REPLY_TOPIC) or known.get("kafka_replyTopic")
                          or known.get("reply-topic")),
        source=source,
        history=attempts_of(headers),
        replays=_number(known.get(H.REPLAYS)),
        size=len(value or b""),
        headers=first_headers(headers),
    )  # fmt: skip


class Anew(msgspec.Struct, frozen=True):
    """A replay under an id of its own. Where the first answer would go to Headrace itself, and so to a
    connection that is gone, it becomes a job: its answer goes to `results`, partition `partition`."""

    id: RequestId
    results: str
    partition: int


def becomes_job(letter: Letter, topics: Topics) -> bool:
    """Whether a replay under a new id is a job: nobody else could read its answer."""
    return bool(letter.kind) or letter.reply_topic in (topics.replies, topics.results)


def replay_headers(
    letter: Letter, topics: Topics, *, deadline_ms: int, lane: LaneName | None, anew: Anew | None
) -> list[tuple[str, bytes]]:
    """Headers of the record that replays `letter`, in the producer's order.

    New are: `headrace-replays`, counted on; the deadline, where one was told (else the lane's default
    counts from the replay's own append time); the lane, where another is wanted; the id, where the
    first record had none and so would be named after its new place, or where `anew` gives another.
    """
    new = {H.REPLAYS.value: b"%d" % (letter.replays + 1)}
    told = {H.DEADLINE_MS.value: b"%d" % deadline_ms}
    dropped: frozenset[str] = frozenset()
    names = {name for name, value in letter.headers if value}
    if names.isdisjoint(_ID_NAMES):
        new[H.ID.value] = letter.id.encode()
    if lane is not None:
        told[H.LANE.value] = lane.encode()
    if anew is not None:
        new[H.ID.value] = anew.id.encode()
        if becomes_job(letter, topics):
            new |= {
                H.DEADLINE_MS.value: b"%d" % deadline_ms,
                H.KIND.value: Kind.JOB.value.encode(),
                H.REPLY_TOPIC.value: anew.results.encode(),
                H.REPLY_PARTITION.value: b"%d" % anew.partition,
            }
            dropped = _NOT_OF_JOBS
    kept = [(n, (told | new).get(n, value)) for n, value in letter.headers if n not in dropped]
    there = {name for name, _ in kept}
    return kept + [(name, value) for name, value in new.items() if name not in there]


def mark_headers(
    letter: Letter, source: bytes, replayed_as: RequestId | None
) -> list[tuple[str, bytes]]:
    """Headers of the mark of `letter`; its key is the letter's, its value null."""
    headers = [
        (H.ID.value, letter.id.encode()),
        (H.TYPE.value, REPLAYED_TYPE),
        (H.SOURCE.value, source),
        (H.SPEC.value, SPEC_VERSION),
        (H.SOURCE_OFFSET.value, b"%d" % letter.offset),
        (H.REPLAYS.value, b"%d" % (letter.replays + 1)),
    ]
    if replayed_as is not None:
        headers.append((H.REPLAYED_AS.value, replayed_as.encode()))
    return headers


def attempts_of(headers: Headers) -> tuple[Attempt, ...]:
    """The attempts that a retry or a dead letter tells of; none where they cannot be read."""
    try:
        return _history.decode(dict(headers).get(H.HISTORY) or b"[]")
    except msgspec.MsgspecError:
        return ()


def _text(value: bytes | None) -> str:
    """A header as it may be shown: what cannot be printed is replaced."""
    text = (value or b"")[: 4 * SHOWN].decode(errors="replace")[:SHOWN]
    return "".join(char if char.isprintable() else "\ufffd" for char in text)


def _number(value: bytes | None) -> int:
    return int(value) if value and value.isdigit() and len(value) <= 15 else 0


def _model(value: bytes | None) -> str:
    try:
        return _text(_named.decode(value or b"{}").model.encode())
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return ""
