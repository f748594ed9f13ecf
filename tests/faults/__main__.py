"""`make faults`: inject every fault, judge each, print the table, write the results.

The exit code says whether every fault held.
"""

import asyncio
import importlib
import logging
import pkgutil
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from benchmarks.harness.machine import describe_commit, machine_rows, raise_file_limit
from benchmarks.report.rows import as_json
from faults import cases
from faults.rig.case import CASES, Case
from faults.rig.row import Row, as_table, with_figures, with_table
from faults.rig.run import play_all

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "results" / "faults.json"
PAGE = ROOT / "docs" / "guarantees.md"
WIDTH = 170


def main(
    only: Annotated[str, typer.Option(help="Numbers, as F18,F19.")] = "",
    smoke: Annotated[bool, typer.Option("--smoke", help="The twelve that are run in CI.")] = False,
    keep: Annotated[Path | None, typer.Option(help="Where logs of what did not hold go.")] = None,
    write: Annotated[bool, typer.Option(help="Write results and docs/guarantees.md.")] = True,
) -> None:
    """Inject faults into real processes, and say of each what held."""
    console = Console(highlight=False, width=WIDTH)
    machine = machine_rows()
    commit = describe_commit(ROOT)
    # The commit stands with each fault, as some may be played again later.
    described = [row for row in machine if row.id != "commit"]
    for row in machine:
        console.print(f"{row.what}: {row.value}", markup=False, soft_wrap=True)
    raise_file_limit()
    # It tells of every retry while a broker is away, which is what is done to it here.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    wanted = chosen(only, smoke=smoke)
    folder = Path(tempfile.mkdtemp(prefix="headrace-faults-"))
    rows = asyncio.run(_play(wanted, folder, console))
    console.print(as_table(rows))
    failed = [row for row in rows if not row.held]
    if failed and keep is not None:
        shutil.rmtree(keep, ignore_errors=True)
        shutil.move(folder, keep)
        folder = keep
    if failed:
        console.print(f"What the processes wrote: {folder}/<fault>/logs", markup=False)
    else:
        shutil.rmtree(folder, ignore_errors=True)
    if write and not smoke:
        old = RESULTS.read_text("utf-8") if RESULTS.exists() else ""
        figures = with_figures(old, rows, commit)
        RESULTS.write_text(as_json([*described, *figures]), encoding="utf-8")
        PAGE.write_text(with_table(PAGE.read_text("utf-8"), figures), encoding="utf-8")
    raise typer.Exit(1 if failed else 0)


def chosen(only: str, *, smoke: bool) -> list[Case]:
    """The cases by number; those on one broker first, so that a cluster is started once."""
    for module in pkgutil.iter_modules(cases.__path__):
        importlib.import_module(f"{cases.__name__}.{module.name}")
    ids = [one.strip().upper() for one in only.split(",") if one.strip()]
    if unknown := set(ids) - set(CASES):
        raise typer.BadParameter(f"no such case: {', '.join(sorted(unknown))}")
    wanted = [CASES[number] for number in ids or CASES]
    if smoke:
        wanted = [one for one in wanted if one.smoke]
    return sorted(wanted, key=lambda one: (one.brokers, one.spoils, int(one.id[1:])))


async def _play(wanted: Sequence[Case], folder: Path, console: Console) -> list[Row]:
    rows: list[Row] = []
    async for row in play_all(wanted, folder):
        rows.append(row)
        word = "held" if row.held else "DID NOT HOLD"
        console.print(f"{row.id} {word} ({row.took_s:.0f} s): {row.what}", markup=False)
        for figure in row.measured:
            console.print(f"    {figure.what}: {figure.value} {figure.unit}", markup=False)
        for finding in row.all_findings:
            console.print(f"    {finding}", markup=False, soft_wrap=True)
    return sorted(rows, key=lambda row: int(row.id[1:]))


if __name__ == "__main__":
    typer.run(main)
