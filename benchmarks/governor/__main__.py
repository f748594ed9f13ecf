"""`make bench-governor`: measure, print a table, write results/governor.json.

The exit code says whether it ran, not what it found: a timed test never gates anything.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console

from benchmarks.governor import calm, outage, overload
from benchmarks.governor.site import Site, site
from benchmarks.harness.machine import machine_rows, raise_file_limit
from benchmarks.harness.stacks import StackFailed
from benchmarks.report.rows import Row, as_json
from benchmarks.report.table import as_tables
from headrace.cli.localkafka import LocalKafkaError
from headrace.cli.progress import ConsoleReporter, Reporter
from headrace.cli.up.errors import StackError

RESULTS = Path(__file__).parents[1] / "results" / "governor.json"
PAGE = 140
IDLE_S = 20.0
WAIT_S = 60.0
LIMITS_S = 300.0
MACHINE = frozenset({"machine", "commit", "cores"})


class Lengths(msgspec.Struct, frozen=True):
    """Of the parts, in seconds."""

    idle: float
    wait: float
    limits: float


Part = Callable[[Site, Reporter, Lengths, outage.Sick], Awaitable[list[Row]]]
PARTS: dict[str, Part] = {
    "idle": lambda where, say, lengths, _: calm.measure_idle(where, say, lengths.idle),
    "wait": lambda where, say, lengths, _: calm.measure_waits(where, say, lengths.wait),
    "takeover": lambda where, say, _, __: calm.measure_takeover(where, say),
    "dispatcher": lambda where, say, _, __: calm.measure_dispatcher(where, say),
    "limits": lambda where, say, lengths, _: overload.Overload(where, say, lengths.limits).run(),
    "outage": lambda where, say, _, sick: outage.measure_outage(where, say, sick),
}
ALL = ",".join(PARTS)


def main(
    only: Annotated[str, typer.Option(help="Which parts, in their order.")] = ALL,
    seconds: Annotated[float, typer.Option(min=10, help="Length of the overload.")] = LIMITS_S,
    wait: Annotated[float, typer.Option(min=5, help="Length of the half load.")] = WAIT_S,
    keep: Annotated[Path | None, typer.Option(help="Folder for the logs.")] = None,
    results: Annotated[Path, typer.Option(help="File for the figures.")] = RESULTS,
) -> None:
    """Put the governor to the test on real processes, in about twelve minutes."""
    wanted = [part.strip().lower() for part in only.split(",")]
    if unknown := set(wanted) - set(PARTS):
        raise typer.BadParameter(f"--only knows {ALL}, not {', '.join(sorted(unknown))}")
    machine = machine_rows()
    console = Console(highlight=False, width=PAGE)
    for row in machine:
        console.print(f"{row.what}: {row.value}", markup=False, soft_wrap=True)
    raise_file_limit()
    rows = asyncio.run(run(wanted, Lengths(IDLE_S, wait, seconds), keep))
    for table in as_tables(rows, "The governor on real processes"):
        console.print(table)
    results.write_text(as_json([*machine, *with_others(results, rows)]), encoding="utf-8")


async def run(wanted: list[str], lengths: Lengths, keep: Path | None) -> list[Row]:
    """Start everything, measure, return the rows."""
    rows: list[Row] = []
    with ConsoleReporter() as reporter:
        reporter.say("starting Kafka, eight dispatchers, two governors and the upstream")
        sick = outage.Sick()
        models = [*overload.LIMITED, calm.HALF, calm.FREE, *sick.deployments]
        async with sick.serving(), site(models, reporter, keep) as running:
            for name, part in PARTS.items():
                if name in wanted:
                    rows += await part(running, reporter, lengths, sick)
    return rows


def with_others(results: Path, rows: list[Row]) -> list[Row]:
    """The rows, and before them those of an earlier run that these do not replace."""
    if not results.exists():
        return rows
    again = {(row.id, row.what.partition("(")[0]) for row in rows}
    old = msgspec.json.decode(results.read_bytes(), type=list[Row])
    return [
        row
        for row in old
        if row.id not in MACHINE and (row.id, row.what.partition("(")[0]) not in again
    ] + rows


if __name__ == "__main__":
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(main)
    try:
        app()
    except (LocalKafkaError, StackError, StackFailed) as failed:
        sys.exit(str(failed))
