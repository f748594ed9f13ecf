"""`python3 dev.py check-history FOLDER` and `python3 dev.py history`."""

import asyncio
import tempfile
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from faults.history.check import Verdict, as_table, check_folder
from faults.history.driver import Driver
from faults.history.events import Way
from faults.history.history import History
from faults.history.stage import Setting, staged
from faults.history.target import Mix

SETTLE_S = 60.0
SHOWN = 20
WAYS = {Way.SYNC: 5, Way.STREAM: 2, Way.DIRECT: 2, Way.JOB: 1, Way.KEYED: 1}

app = typer.Typer(add_completion=False)
console = Console(width=160)


@app.command()
def check(folder: Annotated[Path, typer.Argument(exists=True, file_okay=False)]) -> None:
    """Judge the history in FOLDER; exit code 1 where a promise was broken."""
    _show(check_folder(folder))


@app.command()
def run(
    requests: Annotated[int, typer.Option(help="How many requests.", min=1)] = 3_000,
    per_s: Annotated[float, typer.Option(help="How many a second, at most.")] = 300.0,
    dispatchers: Annotated[int, typer.Option(min=1)] = 2,
    folder: Annotated[Path | None, typer.Option(help="Where the history stays.")] = None,
) -> None:
    """Send mixed traffic to a whole installation, break nothing, and judge the history."""
    with tempfile.TemporaryDirectory(prefix="headrace-history-") as temporary:
        kept = folder or Path(temporary)
        asyncio.run(_clean_run(kept, requests, per_s, dispatchers))
        _show(check_folder(kept))


async def _clean_run(folder: Path, requests: int, per_s: float, dispatchers: int) -> None:
    began = time.monotonic()
    async with staged(folder, Setting(dispatchers=dispatchers)) as stage:
        console.print(f"Everything is up after {time.monotonic() - began:.1f} s.")
        with History(folder, now_ms) as history:
            async with Driver(stage.target, Mix(ways=WAYS), history) as driver:
                await driver.send(requests, per_s)
                await driver.ended()
        console.print(f"{requests} requests have ended after {time.monotonic() - began:.1f} s.")
        await stage.settle(SETTLE_S)
        await stage.conclude()


def _show(verdict: Verdict) -> None:
    console.print(as_table(verdict))
    for violation in verdict.violations[:SHOWN]:
        console.print(str(violation), style="red", highlight=False)
    if verdict.violations:
        raise typer.Exit(1)


def now_ms() -> int:
    """Epoch milliseconds: the clock that the upstream's log and the broker use on this machine."""
    return time.time_ns() // 1_000_000


if __name__ == "__main__":
    app()
