"""A job as a table for people."""

from datetime import UTC, datetime

from rich.table import Table
from rich.text import Text

from headrace.cli.jobs.api import Job

SHORTEST = 2_000
"""Characters of the answer that a table shows; JSON shows all."""


def as_table(job: Job) -> Table:
    """Two columns: what, and how it is."""
    table = Table(show_header=False)
    for name, value in (
        ("id", job.id),
        ("state", job.state),
        ("kind", job.kind),
        ("endpoint", job.endpoint),
        ("model", job.model),
        ("lane", job.lane),
        ("attempts", str(job.attempts)),
        ("upstream", job.upstream or "-"),
        ("accepted", _time(job.accepted_ms)),
        ("deadline", _time(job.deadline_ms)),
        ("changed", _time(job.updated_ms)),
    ):
        table.add_row(name, Text(value))
    if job.error is not None:
        table.add_row("error", Text(f"{job.error.code}: {job.error.message}"))
    answer = bytes(job.response).decode()
    if answer != "null":
        cut = answer if len(answer) <= SHORTEST else f"{answer[:SHORTEST]} ..."
        table.add_row("response", Text(cut))
    return table


def _time(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
