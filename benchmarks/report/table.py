"""The tables that `make bench` prints: what is judged, and the figures beside it."""

from collections.abc import Sequence

from rich.table import Table

from benchmarks.report.rows import Row

BESIDE = "Headrace beside the bare loop"


def as_tables(rows: Sequence[Row], title: str = BESIDE) -> tuple[Table, Table]:
    """The bars last, where a terminal shows them: each is held or MISSED."""
    figures = _table("Figures, not judged", "id", "what")
    bars = _table(title, "id", "what")
    for heading in ("bar", ""):
        bars.add_column(heading)
    for row in rows:
        value = "" if row.value is None else str(row.value)
        if row.bar is None:
            figures.add_row(row.id, row.what, value, row.unit)
        else:
            bars.add_row(row.id, row.what, value, row.unit, row.bar, _verdict(row.held))
    return figures, bars


def _table(title: str, *headings: str) -> Table:
    table = Table(title=title, title_justify="left")
    for heading in headings:
        table.add_column(heading)
    table.add_column("value", justify="right")
    table.add_column("unit")
    return table


def _verdict(held: bool | None) -> str:
    if held is None:
        return "not judged"
    return "[green]held[/green]" if held else "[bold red]MISSED[/bold red]"
