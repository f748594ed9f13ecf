"""How long an upstream asks to wait: `retry-after-ms`, else `Retry-After` (RFC 9110, 10.2.3)."""

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

LONGEST_MS: Final = 86_400_000
"""A day: the longest reset that a provider's quota has. What asks for more is held to it."""

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


def _number(said: str | None, unit_ms: int) -> int | None:
    # `strip` takes off more than `float` forgives: control characters such as 0x1f.
    number = "" if said is None else said.strip()
    if not _NUMBER.fullmatch(number):
        return None
    return math.ceil(min(float(number) * unit_ms, LONGEST_MS))


def _date(said: str, now_ms: int) -> int | None:
    try:
        at = parsedate_to_datetime(said[:64])
        aware = at if at.tzinfo else at.replace(tzinfo=UTC)
        at_ms = math.ceil((aware - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() * 1000)
    except (ValueError, OverflowError, TypeError, IndexError):
        # Python's parser lets all of these through, by what is wrong with the text.
        return None
    return max(0, min(at_ms - now_ms, LONGEST_MS))
