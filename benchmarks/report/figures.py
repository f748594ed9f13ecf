"""The figures of a whole `make bench` as README shows them. Pure."""

from collections.abc import Sequence

import msgspec

from benchmarks.report.page import as_markdown, with_part
from benchmarks.report.rows import Row

PART = "figures"
"""Of README."""


def read_rows(results: str) -> list[Row]:
    """The rows of a results file (JSON)."""
    return msgspec.json.decode(results, type=list[Row])


def with_figures(page: str, rows: Sequence[Row]) -> str:
    """The page with every judged row, held or missed, and what they were measured on.

    Raises `ValueError` when the page has no markers for it.
    """
    told = {row.id: row.value for row in rows}
    judged = (_cells(row) for row in rows if row.bar is not None)
    table = as_markdown(("", "what", "measured", "bar", ""), *judged)
    on = f"Measured on {told['machine']}; everything ran on {told['cores']}; commit {told['commit']}."
    return with_part(page, PART, f"{table}\n{on}\n")


def _cells(row: Row) -> tuple[str, ...]:
    value = "" if row.value is None else f"{row.value} {row.unit}"
    return (row.id, row.what, value, row.bar or "", _verdict(row.held))


def _verdict(held: bool | None) -> str:
    if held is None:
        return "not judged"
    return "held" if held else "**missed**"
