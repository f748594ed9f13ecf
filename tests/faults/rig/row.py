"""A row of the table, and the forms in which it is told: terminal, JSON, Markdown. Pure."""

from collections.abc import Sequence

import msgspec
from rich.table import Table

from benchmarks.report.rows import Row as Figure

BEGIN = "<!-- faults: begin -->"
END = "<!-- faults: end -->"
HEADINGS = (
    "fault", "what", "must hold", "held", "requests", "answered", "lost",
    "doubled", "re-executed", "recovers",
)  # fmt: skip


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """What one case came to."""

    id: str
    what: str
    holds: str
    requests: int
    answered: int
    lost: int
    doubled: int
    reexecuted: int
    allowed: int
    recover_s: float | None
    findings: tuple[str, ...]
    late: tuple[str, ...] = ()
    """What held, but not in time."""
    took_s: float = 0.0

    @property
    def held(self) -> bool:
        """Nothing was found against it."""
        return not self.all_findings

    @property
    def all_findings(self) -> tuple[str, ...]:
        """What did not hold, and what did not hold in time."""
        return self.findings + self.late

    def cells(self) -> tuple[str, ...]:
        """As the tables show it."""
        recovers = "" if self.recover_s is None else f"{self.recover_s:.1f} s"
        return (
            self.id,
            self.what,
            self.holds,
            "yes" if self.held else "NO",
            str(self.requests),
            str(self.answered),
            str(self.lost),
            str(self.doubled),
            f"{self.reexecuted} of {self.allowed}",
            recovers,
        )


def as_table(rows: Sequence[Row]) -> Table:
    """For the terminal."""
    table = Table(*HEADINGS, show_lines=False)
    for row in rows:
        table.add_row(*row.cells(), style=None if row.held else "bold red")
    return table


def as_markdown(rows: Sequence[Row]) -> str:
    """For docs/guarantees.md."""
    lines = [HEADINGS, tuple("---" for _ in HEADINGS), *(row.cells() for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def as_figures(rows: Sequence[Row]) -> list[Figure]:
    """As every result is written: `id what value unit bar held`."""
    return [figure for row in rows for figure in _figures(row)]


def with_figures(results: str, rows: Sequence[Row]) -> list[Figure]:
    """The figures of `rows`, and those that the old `results` (JSON) hold of other faults."""
    kept = msgspec.json.decode(results or "[]", type=list[Figure])
    again = {row.id for row in rows}
    figures = [one for one in kept if one.id.startswith("F") and one.id not in again]
    return sorted([*figures, *as_figures(rows)], key=lambda one: int(one.id[1:]))


def _figures(row: Row) -> list[Figure]:
    again = row.reexecuted <= row.allowed
    return [
        Figure(row.id, row.what, len(row.all_findings), "findings", f"0: {row.holds}", row.held),
        Figure(row.id, "requests in", row.requests, "requests"),
        Figure(row.id, "answered", row.answered, "requests"),
        Figure(row.id, "lost", row.lost, "requests", "0", row.lost == 0),
        Figure(row.id, "duplicates visible", row.doubled, "requests", "0", row.doubled == 0),
        Figure(row.id, "re-executed", row.reexecuted, "calls", f"<= {row.allowed}", again),
        Figure(row.id, "recovery", row.recover_s, "s"),
    ]


def with_table(page: str, rows: Sequence[Row]) -> str:
    """The page with the table between its markers replaced; rows that were not run stay.

    Raises `ValueError` when the page has no markers.
    """
    before, begin, rest = page.partition(BEGIN)
    old, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError("the page has no markers for the table of faults")
    kept = {line.split("|")[1].strip(): line for line in old.splitlines() if line.startswith("| F")}
    head = as_markdown(()).splitlines()
    lines = kept | {row.id: as_markdown([row]).splitlines()[2] for row in rows}
    ordered = [lines[number] for number in sorted(lines, key=lambda one: int(one[1:]))]
    return before + BEGIN + "\n\n" + "\n".join([*head, *ordered]) + "\n\n" + END + after
