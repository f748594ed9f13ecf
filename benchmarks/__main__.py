"""`make bench`: measure, print a table, write results/latest.json, the plots and README's figures.

A run of a part, or of something else than the product as it is, goes to build/bench instead.
The exit code says whether it ran, not what it found: a timed test never gates anything.
"""

import asyncio
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from benchmarks.bench import Bench
from benchmarks.harness.arena import arena
from benchmarks.harness.machine import machine_rows, raise_file_limit
from benchmarks.harness.options import MIN_PAIRS, Options
from benchmarks.harness.stacks import StackFailed
from benchmarks.harness.windows import WindowFailed
from benchmarks.report.figures import read_rows, with_figures
from benchmarks.report.rows import Row, as_json
from benchmarks.report.table import as_tables
from headrace.cli.localkafka import LocalKafkaError
from headrace.cli.progress import ConsoleReporter

ROOT = Path(__file__).parents[1]
RESULTS = Path(__file__).with_name("results")
PARTIAL = ROOT / "build" / "bench"
README = ROOT / "README.md"
ALL = "B1,B2,B3,B6"
PAGE = 140
"""Columns where there is no terminal."""


def main(
    pairs: Annotated[int, typer.Option(min=1, help="Rounds of B1, B2, B3.")] = 6,
    seconds: Annotated[float, typer.Option(min=1, help="Length of one window.")] = 5.0,
    only: Annotated[str, typer.Option(help="Which to measure.")] = ALL,
    profile: Annotated[
        Path | None, typer.Option(help="Folder for py-spy profiles of the product.")
    ] = None,
    results: Annotated[
        Path | None,
        typer.Option(help="Folder for JSON and SVG: benchmarks/results, of a part build/bench."),
    ] = None,
    control: Annotated[
        bool, typer.Option("--control", help="A second bare loop in place of the product.")
    ] = False,
    limited: Annotated[
        bool, typer.Option("--limited", help="With credits of a governor for each request.")
    ] = False,
) -> None:
    """Measure Headrace beside the bare loop of its own stack, in about five minutes."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=PAGE)
    machine = machine_rows()
    for row in machine:
        console.print(f"{row.what}: {row.value}", markup=False, soft_wrap=True)
    options = Options(
        pairs=pairs, seconds=seconds, profile=profile, control=control, limited=limited
    )
    wanted = frozenset(only.upper().split(","))
    if unknown := wanted - set(ALL.split(",")):
        raise typer.BadParameter(f"--only knows {ALL}, not {', '.join(sorted(unknown))}")
    folder = results or (RESULTS if is_whole(options, wanted) else PARTIAL)
    folder.mkdir(parents=True, exist_ok=True)
    raise_file_limit()
    rows = machine + asyncio.run(run(options, wanted, folder))
    for table in as_tables(rows[len(machine) :]):
        console.print(table)
    written = folder / "latest.json"
    text = as_json(rows)
    written.write_text(text, encoding="utf-8")
    console.print(f"Written to {written}", markup=False, soft_wrap=True)
    if folder == RESULTS:
        # As the file tells them: a whole number is one with a point there.
        page = with_figures(README.read_text("utf-8"), read_rows(text))
        README.write_text(page, encoding="utf-8")


def is_whole(options: Options, wanted: frozenset[str]) -> bool:
    """Whether it measures all that README shows, of the product as it is."""
    plain = not (options.control or options.limited)
    return plain and options.pairs >= MIN_PAIRS and wanted == set(ALL.split(","))


async def run(options: Options, wanted: frozenset[str], results: Path) -> list[Row]:
    """Start everything, measure what is wanted, return the rows."""
    with ConsoleReporter() as reporter:
        reporter.say("starting Kafka, the upstreams and both stacks")
        async with arena(options, reporter) as started:
            return await Bench(started, options, reporter, results).run(wanted)


if __name__ == "__main__":
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(main)
    try:
        app()
    except (LocalKafkaError, StackFailed, WindowFailed) as failed:
        sys.exit(str(failed))
