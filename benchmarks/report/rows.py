"""One row of results: a figure, and where there is a bar, whether it held."""

from collections.abc import Sequence
from statistics import median

import msgspec


class Row(msgspec.Struct, frozen=True):
    """`held` is None where there is no bar, or too little was measured to judge."""

    id: str
    what: str
    value: float | str | None
    unit: str
    bar: str | None = None
    held: bool | None = None


def figure(row_id: str, what: str, value: float | str | None, unit: str) -> Row:
    """A figure without a bar."""
    return Row(row_id, what, _short(value), unit)


def at_most(row_id: str, what: str, value: float, unit: str, bar: float, *, judged: bool) -> Row:
    """Held when `value` is `bar` or less."""
    held = value <= bar if judged else None
    return Row(row_id, what, _short(value), unit, f"<= {_short(bar)}", held)


def at_least(row_id: str, what: str, value: float, unit: str, bar: float, *, judged: bool) -> Row:
    """Held when `value` is `bar` or more."""
    held = value >= bar if judged else None
    return Row(row_id, what, _short(value), unit, f">= {_short(bar)}", held)


def middle(values: Sequence[float]) -> float:
    """The median."""
    return median(values)


def spread(values: Sequence[float]) -> str:
    """`median of 6, 1.71 to 1.83`, for the text of a row."""
    return f"median of {len(values)}, {_short(min(values))} to {_short(max(values))}"


def as_json(rows: Sequence[Row]) -> str:
    """A JSON list with one row a line, so that a difference between two runs can be read."""
    lines = [msgspec.json.encode(row).decode() for row in rows]
    return "[\n" + ",\n".join(lines) + "\n]\n"


def _short(value: float | str | None) -> float | str | None:
    """Three or four digits; more would be noise."""
    if not isinstance(value, float):
        return value
    digits = 3 if abs(value) < 10 else 1 if abs(value) < 1000 else 0
    return round(value, digits)
