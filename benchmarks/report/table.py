"""The table that `make bench` prints."""

from collections.abc import Sequence

from rich.table import Table

from benchmarks.report.rows import Row


def as_table(rows: Sequence[Row]) -> Table:
    """Rows with a bar say held or MISSED."""
    table = Table(title="Headrace beside the bare loop", title_justify="left")
    for heading in ("id", "what"):
        table.add_column(heading)
    table.add_column("value", justify="right")
    for heading in ("unit", "bar", ""):
        table.add_column(heading)
    for row in rows:
        value = "" if row.value is None else str(row.value)
        table.add_row(row.id, row.what, value, row.unit, row.bar or "", _verdict(row))
    return table


def _verdict(row: Row) -> str:
    if row.bar is None:
        return ""
    if row.held is None:
        return "not judged"
    return "[green]held[/green]" if row.held else "[bold red]MISSED[/bold red]"
