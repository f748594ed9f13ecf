"""Records made of other records: retries on a delay topic, and dead letters.

Both keep the first record's value, key and headers byte for byte (P15) and only add headers of ours,
so a replay can take these off again. A retry of a retry replaces the added ones.
"""

import msgspec

from headrace.schemas.headers import RETRY_STATE, H
from headrace.schemas.records import Attempt, Headers, encode_history


class Source(msgspec.Struct, frozen=True):
    """Where a record first stood, and the key it had there."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    timestamp_ms: int


def source_of(
    headers: Headers,
    *,
    topic: str,
    partition: int,
    offset: int,
    key: bytes | None,
    timestamp_ms: int,
) -> Source:
    """The first record's place: named in the headers of a retry, else the record's own.

    A producer can write these headers too; where they cannot be read, they are not believed.
    """
    known = dict(headers)
    if "headrace-source-topic" not in known:
        return Source(topic, partition, offset, key, timestamp_ms)
    place = (
        known["headrace-source-topic"],
        known.get("headrace-source-partition"),
        known.get("headrace-source-offset"),
        known.get("headrace-accepted-ms"),
    )
    try:
        source, *numbers = (part.decode() for part in place if part)
        first_partition, first_offset, accepted_ms = map(int, numbers)
    except ValueError:
        return Source(topic, partition, offset, key, timestamp_ms)
    first_key = known.get("headrace-source-key")
    return Source(source, first_partition, first_offset, first_key, accepted_ms)


def first_headers(headers: Headers) -> list[tuple[str, bytes]]:
    """The headers as the producer wrote them."""
    return [(name, value) for name, value in headers if name not in RETRY_STATE]


def retry_headers(
    headers: Headers,
    source: Source,
    *,
    attempt: int,
    due_ms: int,
    history: tuple[Attempt, ...],
    handed_on_from: bytes = b"",
    parked_from: bytes = b"",
) -> list[tuple[str, bytes]]:
    """Headers of the delay record that will run `attempt` at `due_ms`; `handover` tells of the last two."""
    return [
        *first_headers(headers),
        (H.ATTEMPT.value, b"%d" % attempt),
        (H.DUE_MS.value, b"%d" % due_ms),
        (H.HISTORY.value, encode_history(history)),
        *_place(source),
        (H.ACCEPTED_MS.value, b"%d" % source.timestamp_ms),
        *([(H.HANDED_ON_FROM.value, handed_on_from)] if handed_on_from else []),
        *([(H.PARKED_FROM.value, parked_from)] if parked_from else []),
    ]


def dead_letter_headers(
    headers: Headers, source: Source, *, reason: str, history: tuple[Attempt, ...]
) -> list[tuple[str, bytes]]:
    """Headers of the dead letter."""
    return [
        *first_headers(headers),
        (H.REASON.value, reason.encode()),
        (H.HISTORY.value, encode_history(history)),
        *_place(source),
    ]


def _place(source: Source) -> list[tuple[str, bytes]]:
    place: list[tuple[str, bytes]] = [
        (H.SOURCE_TOPIC.value, source.topic.encode()),
        (H.SOURCE_PARTITION.value, b"%d" % source.partition),
        (H.SOURCE_OFFSET.value, b"%d" % source.offset),
    ]
    if source.key is not None:
        place.append((H.SOURCE_KEY.value, source.key))
    return place
