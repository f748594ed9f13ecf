"""How a request wants to be treated: headers that few requests carry, read purely.

`Prefer: respond-async` (RFC 7240) makes a job of any request, `headrace-resume: true` keeps it and its
answer beyond its connection, `headrace-not-before` or `headrace-delay` have it sent later,
`headrace-ambiguous` says what becomes of a call that a crash cut short, and an `Idempotency-Key` gives
its repeats the same answer.
"""

import re
from collections.abc import Mapping
from datetime import datetime

import msgspec

from headrace.ingress.refusal import Refusal
from headrace.schemas.errors import Code
from headrace.schemas.names import Ambiguous, Kind

KEY = b"idempotency-key"
HEADERS = frozenset(
    (
        *(b"prefer", b"headrace-resume", b"headrace-not-before", b"headrace-delay"),
        *(b"headrace-ambiguous", KEY),
    )
)
"""A request that carries none of these is plain, and costs one look."""

MAX_KEY_BYTES = 255
_AMBIGUOUS = {word.value.encode(): word for word in Ambiguous}
_NUMBER = re.compile(r"\d{1,9}(\.\d{1,9})?")


class Manner(msgspec.Struct, frozen=True):
    """`kind` None: the request ends with its connection. `not_before_ms` 0: send it when it is its turn.
    `key`: the idempotency key, empty for none. `ambiguous` None: as its model's setting says.
    """

    kind: Kind | None = None
    not_before_ms: int = 0
    key: str = ""
    ambiguous: Ambiguous | None = None


def read(headers: Mapping[bytes, bytes], now_ms: int, deadline_ms: int) -> Manner | Refusal:
    """What `headers` wish. `now_ms` and `deadline_ms` are broker time."""
    resumable = headers.get(b"headrace-resume", b"false").strip().lower()
    if resumable not in (b"true", b"false"):
        return Refusal(
            Code.INVALID_HEADER, "headrace-resume is `true` or `false`.", "headrace-resume"
        )
    due_ms = _not_before(headers, now_ms, deadline_ms)
    if isinstance(due_ms, Refusal):
        return due_ms
    key = _key(headers)
    if isinstance(key, Refusal):
        return key
    ambiguous = _ambiguous(headers)
    if isinstance(ambiguous, Refusal):
        return ambiguous
    if responds_later(headers.get(b"prefer", b"")):
        kind: Kind | None = Kind.JOB
    elif key:
        kind = Kind.KEYED
    else:
        kind = Kind.RESUMABLE if resumable == b"true" else None
    return Manner(kind, due_ms, key, ambiguous)


def _key(headers: Mapping[bytes, bytes]) -> str | Refusal:
    value = headers.get(KEY)
    if value is None:
        return ""
    try:
        key = value.decode().strip()
    except UnicodeDecodeError:
        key = ""
    if key and len(value) <= MAX_KEY_BYTES and key.isprintable():
        return key
    message = f"An idempotency key is printable text of 1 to {MAX_KEY_BYTES} bytes."
    return Refusal(Code.INVALID_HEADER, message, KEY.decode())


def _ambiguous(headers: Mapping[bytes, bytes]) -> Ambiguous | Refusal | None:
    value = headers.get(b"headrace-ambiguous")
    if value is None:
        return None
    return _AMBIGUOUS.get(value.strip().lower()) or Refusal(
        Code.INVALID_HEADER,
        "headrace-ambiguous is `retry`, `fail` or `park`.",
        "headrace-ambiguous",
    )


def responds_later(prefer: bytes) -> bool:
    """Whether a `Prefer` header asks for `respond-async`."""
    wishes = (wish.partition(b";")[0].strip().lower() for wish in prefer.split(b","))
    return b"respond-async" in wishes


def _not_before(headers: Mapping[bytes, bytes], now_ms: int, deadline_ms: int) -> int | Refusal:
    """When it may be sent, 0 for now; what lies in the past is now."""
    at, delay = headers.get(b"headrace-not-before"), headers.get(b"headrace-delay")
    if at is None and delay is None:
        return 0
    name = "headrace-not-before" if at is not None else "headrace-delay"
    if at is not None and delay is not None:
        return Refusal(
            Code.INVALID_NOT_BEFORE, "Send headrace-not-before or headrace-delay, not both.", name
        )
    due_ms = _moment(at) if at is not None else _later(delay or b"", now_ms)
    if due_ms is None:
        return Refusal(
            Code.INVALID_NOT_BEFORE,
            "headrace-not-before is epoch milliseconds or RFC 3339, headrace-delay seconds.",
            name,
        )
    if due_ms >= deadline_ms:
        return Refusal(
            Code.INVALID_NOT_BEFORE,
            "It may not be sent before its deadline; ask for a later deadline.",
            name,
        )
    return due_ms if due_ms > now_ms else 0


def _moment(value: bytes) -> int | None:
    """Epoch milliseconds, told as such or as RFC 3339 with its offset."""
    text = value.decode("latin-1").strip()
    if text.isdecimal() and len(text) <= 15:
        return int(text)
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return round(at.timestamp() * 1000) if at.tzinfo is not None and "T" in text.upper() else None


def _later(value: bytes, now_ms: int) -> int | None:
    text = value.decode("latin-1").strip()
    return now_ms + round(float(text) * 1000) if _NUMBER.fullmatch(text) else None
