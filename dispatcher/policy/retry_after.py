"""How long an upstream asks to wait: `retry-after-ms`, else `Retry-After` (RFC 9110, 10.2.3).

For a spent quota also the reset headers: OpenAI's and its imitators' durations (`6m0s`, `8.64s`,
`20ms`), Anthropic's times (RFC 3339).
"""

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

LONGEST_MS: Final = 86_400_000
"""A day: the longest reset that a provider's quota has. What asks for more is held to it."""

_LIMIT: Final = "ratelimit-"
_DURATION: Final = re.compile(
    r"(?:([0-9]{1,9})d)?(?:([0-9]{1,9})h)?(?:([0-9]{1,9})m(?!s))?"
    r"(?:([0-9]{1,9}(?:\.[0-9]{0,9})?)s)?(?:([0-9]{1,9}(?:\.[0-9]{0,9})?)ms)?",
    re.ASCII,
)
_UNITS_MS: Final = (86_400_000, 3_600_000, 60_000, 1_000, 1)
_NUMBER: Final = re.compile(r"[0-9]{1,300}(?:\.[0-9]{0,300})?", re.ASCII)


def read(headers: Mapping[str, str], now_ms: int) -> int | None:
    """Milliseconds to wait, 0 to `LONGEST_MS`, rounded up; None where nothing readable is said.

    `headers` by lower-case name. A past date is 0; a negative number is garbage. Never raises.
    """
    wait_ms = _number(headers.get("retry-after-ms"), 1)
    if wait_ms is not None:
        return wait_ms
    said = headers.get("retry-after")
    wait_ms = _number(said, 1000)
    if wait_ms is not None or said is None:
        return wait_ms
    return _date(said, now_ms)


def read_reset(headers: Mapping[str, str], now_ms: int) -> int | None:
    """Milliseconds until the last of the spent limits is filled up again; None where none says so.

    A limit is spent where its `remaining` is 0. Never raises.
    """
    waits = [
        until_ms(headers.get(name.replace("remaining", "reset")), now_ms)
        for name, left in headers.items()
        if _LIMIT in name and "remaining" in name and left.strip() == "0"
    ]
    return max((wait_ms for wait_ms in waits if wait_ms is not None), default=None)


def until_ms(said: str | None, now_ms: int) -> int | None:
    """Milliseconds until a reset header's duration or RFC 3339 time; None where it is neither."""
    if said is None:
        return None
    found = _DURATION.fullmatch(said.strip())
    if found is not None and said.strip():
        parts = zip(found.groups(), _UNITS_MS, strict=True)
        return math.ceil(min(sum(float(n) * unit for n, unit in parts if n), LONGEST_MS))
    return _moment(said, now_ms)


def _moment(said: str, now_ms: int) -> int | None:
    try:
        at = datetime.fromisoformat(said.strip()[:64])
    except ValueError:
        return None
    return _ahead(at, now_ms)


def _number(said: str | None, unit_ms: int) -> int | None:
    # `strip` takes off more than `float` forgives: control characters such as 0x1f.
    number = "" if said is None else said.strip()
    if not _NUMBER.fullmatch(number):
        return None
    return math.ceil(min(float(number) * unit_ms, LONGEST_MS))


def _date(said: str, now_ms: int) -> int | None:
    try:
        at = parsedate_to_datetime(said[:64])
    except (ValueError, OverflowError, TypeError, IndexError):
        # Python's parser lets all of these through, by what is wrong with the text.
        return None
    return _ahead(at, now_ms)


def _ahead(at: datetime, now_ms: int) -> int | None:
    """From now until `at`, UTC where it names no zone."""
    aware = at if at.tzinfo else at.replace(tzinfo=UTC)
    try:
        at_ms = math.ceil((aware - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() * 1000)
    except OverflowError:
        return None
    return max(0, min(at_ms - now_ms, LONGEST_MS))
