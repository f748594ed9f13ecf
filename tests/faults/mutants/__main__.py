"""`python3 dev.py mutants [NAME ...]`: each scenario clean, each mutant caught; a table and a JSON file."""

import asyncio
import tempfile
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from benchmarks.harness.machine import machine_rows
from benchmarks.report.rows import Row, as_json
from faults.mutants.catalogue import MUTANTS, Mutant
from faults.mutants.run import Ran, play
from faults.mutants.scenario import BROKER, SCENARIOS
from headrace.cli.localkafka import LocalKafka

RESULTS = Path(__file__).resolve().parents[3] / "benchmarks" / "results" / "mutants.json"
SHOWN = 3

app = typer.Typer(add_completion=False)
console = Console(width=150)


@app.command()
def main(
    names: Annotated[list[str] | None, typer.Argument(help="Only these mutants.")] = None,
    folder: Annotated[Path | None, typer.Option(help="Where the histories stay.")] = None,
) -> None:
    """Run every scenario without and with its mutants; exit code 1 where one was not as it must be."""
    chosen = [one for one in MUTANTS if not names or one.name in names]
    if not chosen:
        raise typer.BadParameter("no mutant has this name")
    with tempfile.TemporaryDirectory(prefix="headrace-mutants-") as temporary:
        ran = asyncio.run(_run_all(folder or Path(temporary), chosen))
    console.print(_table(ran))
    if not names:
        RESULTS.write_text(as_json([*machine_rows(), *_rows(ran)]), encoding="utf-8")
    if not all(_good(one, ran) for one in ran):
        raise typer.Exit(1)


async def _run_all(folder: Path, chosen: list[Mutant]) -> list[Ran]:
    ran = []
    async with LocalKafka(folder / "kafka", properties=BROKER) as kafka:
        for name in dict.fromkeys(one.scenario for one in chosen):
            mutants = [one for one in chosen if one.scenario == name]
            for mutant in (None, *mutants):
                label = mutant.name if mutant else f"clean-{name}"
                one = await play(folder / label, SCENARIOS[name], mutant, kafka.bootstrap)
                console.print(_line(label, one), highlight=False)
                for violation in one.verdict.violations[:SHOWN]:
                    console.print(f"    {violation}", style="dim", highlight=False)
                ran.append(one)
    return ran


def _good(one: Ran, ran: list[Ran]) -> bool:
    """A mutant is caught only where the same run without it is clean: else nothing is shown."""
    clean = all(other.held for other in ran if other.scenario is one.scenario and not other.mutant)
    return one.held and clean


def _line(label: str, one: Ran) -> str:
    figures = one.verdict.figures
    broken = ", ".join(
        f"{promise} {count}" for promise, count in sorted(one.verdict.broken.items())
    )
    verdict = "as it must be" if one.held else "NOT AS IT MUST BE"
    return (
        f"{label}: {figures.sent} requests, {figures.ok} ok, {figures.calls} calls, "
        f"{one.seconds:.1f} s; broken: {broken or 'nothing'}; {verdict}"
    )


def _table(ran: list[Ran]) -> Table:
    caught = [one for one in ran if one.mutant]
    title = f"{sum(_good(one, ran) for one in caught)} of {len(caught)} mutants caught"
    table = Table("mutant", "scenario", "found broken", "seconds", "", title=title)
    for one in ran:
        broken = ", ".join(f"{name} x{count}" for name, count in sorted(one.verdict.broken.items()))
        what = one.mutant.what if one.mutant else "(the product as it is)"
        good = "caught" if one.mutant else "clean"
        bad = "MISSED" if one.mutant else "NOT CLEAN"
        style = f"[green]{good}[/green]" if _good(one, ran) else f"[bold red]{bad}[/bold red]"
        table.add_row(what, one.scenario.name, broken, f"{one.seconds:.0f}", style)
    return table


def _rows(ran: list[Ran]) -> list[Row]:
    rows = []
    for number, mutant in enumerate(MUTANTS, 1):
        (one,) = [one for one in ran if one.mutant is mutant]
        found = ", ".join(sorted(one.verdict.broken)) or "nothing"
        row_id = f"mutant-{number}"
        rows.append(Row(row_id, mutant.what, found, "promises", "caught", _good(one, ran)))
    for one in (one for one in ran if not one.mutant):
        count = float(len(one.verdict.violations))
        row_id = f"clean-{one.scenario.name}"
        rows.append(Row(row_id, "without a mutant", count, "violations", "0", one.held))
    caught = float(sum(_good(one, ran) for one in ran if one.mutant))
    total = sum(1 for one in ran if one.mutant)
    rows.append(Row("mutants", "caught", caught, f"of {total}", f"{total}", caught == total))
    return rows


if __name__ == "__main__":
    app()
