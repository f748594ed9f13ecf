"""Headers as they come from Kafka: checked and read one by one, without knowing what they mean.

Wire shape: a sequence of (name, bytes), as aiokafka and confluent-kafka give them.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache

from headrace.schemas.headers import ALIASES, MAX_VALUE_BYTES

Headers = Sequence[tuple[str, bytes]]


class MalformedRecord(ValueError):
    """A record whose headers or body cannot be read; `code` is the stable error code."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def read_headers(headers: Headers) -> dict[str, bytes]:
    """Headers by name, aliases resolved. Raises `MalformedRecord` on a repeated name of ours.

    Kafka allows null as a header's value, though the clients' types do not say so.
    """
    known = dict(headers)
    if len(known) != len(headers):
        names = [name for name, _ in headers if name.startswith(("headrace-", "ce_"))]
        if len(set(names)) != len(names):
            raise MalformedRecord("record_header_repeated", "a header of ours stands twice")
    if not known.keys().isdisjoint(ALIASES):
        for alias, name in ALIASES.items():
            if alias in known:
                known.setdefault(name.value, known[alias])
    return known


def header_number(value: bytes) -> int:
    """A whole number from 0 on, of at most 15 digits. Raises `MalformedRecord`."""
    if not value.isdigit() or len(value) > 15:
        raise MalformedRecord("record_header_invalid", f"not a whole number: {value[:20]!r}")
    return int(value)


def header_text(value: bytes) -> str:
    """Printable text of at most 1 KiB. Raises `MalformedRecord` or `UnicodeDecodeError`."""
    text = value.decode()
    if len(value) > MAX_VALUE_BYTES or not text.isprintable():
        raise MalformedRecord(
            "record_header_invalid", "a header is too long or has control characters"
        )
    return text


header_word = lru_cache(maxsize=4096)(header_text)
"""For headers with few different values."""


@lru_cache(maxsize=8)
def _rfc3339_second(epoch_s: int) -> bytes:
    return datetime.fromtimestamp(epoch_s, UTC).strftime("%Y-%m-%dT%H:%M:%S").encode()


def rfc3339(at_ms: int) -> bytes:
    """Epoch ms as CloudEvents wants its times (RFC 3339, UTC, milliseconds)."""
    return b"%s.%03dZ" % (_rfc3339_second(at_ms // 1000), at_ms % 1000)
