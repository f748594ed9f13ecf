"""A row of the table, and the forms in which it is told: terminal, JSON, Markdown. Pure."""

from collections.abc import Sequence
from itertools import groupby

import msgspec
from rich.table import Table

from benchmarks.report.page import as_markdown, with_part
from benchmarks.report.rows import Row as Figure

PART = "faults"
"""Of docs/guarantees.md."""
UNCHECKED = "\N{EN DASH}"
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
    lost: int | None
    doubled: int | None
    """None where the fault takes the evidence away, so that the promise is not checked."""
    reexecuted: int
    allowed: int
    recover_s: float | None
    findings: tuple[str, ...]
    late: tuple[str, ...] = ()
    """What held, but not in time."""
    measured: tuple[Figure, ...] = ()
    """What the case measured besides."""
    took_s: float = 0.0

    @property
    def held(self) -> bool:
        """Nothing was found against it."""
        return not self.all_findings

    @property
    def all_findings(self) -> tuple[str, ...]:
        """What did not hold, and what did not hold in time."""
        return self.findings + self.late


def as_table(rows: Sequence[Row]) -> Table:
    """For the terminal."""
    table = Table(*HEADINGS, show_lines=False)
    for row in rows:
        table.add_row(*_cells(as_figures(row)), style=None if row.held else "bold red")
    return table


def as_figures(row: Row, commit: str = "") -> list[Figure]:
    """As every result is written: `id what value unit bar held`; the first judges the case."""
    again = row.reexecuted <= row.allowed
    return [
        Figure(row.id, row.what, len(row.all_findings), "findings", f"0: {row.holds}", row.held),
        Figure(row.id, "commit", commit, ""),
        Figure(row.id, "requests in", row.requests, "requests"),
        Figure(row.id, "answered", row.answered, "requests"),
        _none_of(row.id, "lost", row.lost),
        _none_of(row.id, "duplicates visible", row.doubled),
        Figure(row.id, "re-executed", row.reexecuted, "calls", f"<= {row.allowed}", again),
        Figure(row.id, "recovery", row.recover_s, "s"),
        *row.measured,
    ]


def _none_of(row_id: str, what: str, count: int | None) -> Figure:
    if count is None:
        return Figure(row_id, what, None, "requests")
    return Figure(row_id, what, count, "requests", "0", count == 0)


def read_figures(results: str) -> list[Figure]:
    """The figures of faults in `results` (JSON), without the lines about the machine."""
    figures = msgspec.json.decode(results or "[]", type=list[Figure])
    return [one for one in figures if one.id.startswith("F")]


def with_figures(results: str, rows: Sequence[Row], commit: str) -> list[Figure]:
    """The figures of `rows`, taken at `commit`, and those that `results` hold of other faults."""
    again = {row.id for row in rows}
    figures = [one for one in read_figures(results) if one.id not in again]
    for row in rows:
        figures += as_figures(row, commit)
    return sorted(figures, key=lambda one: int(one.id[1:]))


def with_table(page: str, figures: Sequence[Figure]) -> str:
    """The page with its table made of `figures`. Raises `ValueError` when it has no markers."""
    faults = [list(group) for _, group in groupby(figures, key=lambda one: one.id)]
    return with_part(page, PART, as_markdown(HEADINGS, *map(_cells, faults)))


def _cells(figures: Sequence[Figure]) -> tuple[str, ...]:
    """One fault as the tables show it."""
    whole, *others = figures
    of = {one.what: one for one in others}
    allowed = (of["re-executed"].bar or "").removeprefix("<= ")
    recovery = of["recovery"].value
    return (
        whole.id,
        whole.what,
        (whole.bar or "").removeprefix("0: "),
        "yes" if whole.held else "NO",
        *(_count(of[what]) for what in ("requests in", "answered", "lost", "duplicates visible")),
        f"{_count(of['re-executed'])} of {allowed}",
        "" if recovery is None else f"{recovery:.1f} s",
    )


def _count(figure: Figure) -> str:
    return UNCHECKED if figure.value is None else f"{figure.value:.0f}"
