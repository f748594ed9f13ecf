"""Points in time as operators write them: `2h`, `30m`, `2026-11-24T08:00`, `1790000000000`."""

import re
from datetime import UTC, datetime

_AGO = re.compile(r"(\d{1,6})(s|m|h|d)")
_UNITS_MS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_EPOCH_MS = re.compile(r"\d{12,15}")


def moment(text: str, now_ms: int) -> int:
    """Epoch ms. An age counts back from `now_ms`; a time without a zone is UTC. Raises `ValueError`."""
    if ago := _AGO.fullmatch(text):
        return now_ms - int(ago[1]) * _UNITS_MS[ago[2]]
    if _EPOCH_MS.fullmatch(text):
        return int(text)
    try:
        told = datetime.fromisoformat(text)
    except ValueError:
        message = f"{text!r} is no time: write an age like 2h, or 2026-11-24T08:00"
        raise ValueError(message) from None
    return round((told if told.tzinfo else told.replace(tzinfo=UTC)).timestamp() * 1000)


def shown(at_ms: int) -> str:
    """RFC 3339 in UTC, to the second."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
