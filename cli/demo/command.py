"""The command line of `headrace demo`.

Exit codes: 0 everything held; 1 something did not, or could not be run: the message says what;
2 wrong arguments; 3 an extra is missing; 12 to 14 as `headrace topics`; 130 after Ctrl-C, 143
after SIGTERM.
"""

import asyncio
import logging
import shutil
import signal
import tempfile
import time
from pathlib import Path
from typing import Annotated

import typer
from aiokafka.errors import KafkaError
from rich.console import Console

from headrace.cli.demo.crash import CrashMissed
from headrace.cli.demo.prompts import Prompt, PromptsError, choose, default_path, read_prompts
from headrace.cli.demo.run import Demo, Run
from headrace.cli.demo.summary import figures, last_line, latencies, latency_table, reasons_of
from headrace.cli.demo.view import takeover_s
from headrace.cli.localkafka import LocalKafkaError
from headrace.cli.progress import ConsoleReporter
from headrace.cli.topics.errors import TopicsError
from headrace.cli.up.errors import StackError
from headrace.schemas.config.errors import ConfigError

LIMIT_S = 240.0
"""Kafka must have been downloaded by then, too; without that a run takes a minute and a half."""
FEWEST = 60
"""With fewer requests there is no burst in which a dispatcher could hold enough calls."""
MOST_TOLD = 20
INTERRUPTED = 130
TERMINATED = 143
CANNOT_RUN = (StackError, LocalKafkaError, TopicsError, ConfigError, KafkaError, CrashMissed)

Requests = Annotated[int, typer.Option(min=FEWEST, help="How many of the prompts are sent.")]
Seed = Annotated[int, typer.Option(help="Decides which upstream calls fail.")]
Dispatchers = Annotated[int, typer.Option(min=2, max=8, help="One of them is killed.")]
Keep = Annotated[bool, typer.Option("--keep", help="Keep the data folder, also on success.")]
Prompts = Annotated[Path | None, typer.Option(help="Default: examples/prompts.jsonl of the clone.")]


def demo(
    requests: Requests = 600,
    seed: Seed = 7,
    dispatchers: Dispatchers = 3,
    keep: Keep = False,
    prompts: Prompts = None,
) -> None:
    """Run everything here, let a tenth of the calls fail, kill a dispatcher, count what is left."""
    began = time.monotonic()
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # what it logs, the check finds
    try:
        chosen = choose(read_prompts(prompts or default_path()), requests)
    except PromptsError as error:
        raise typer.BadParameter(str(error)) from None
    folder = Path(tempfile.mkdtemp(prefix="headrace-demo-"))
    code = _perform(folder, chosen, seed, dispatchers, began)
    if keep or code not in {0, INTERRUPTED, TERMINATED}:
        typer.echo(f"Logs, records and evidence are kept in {folder}", err=True)
    else:
        shutil.rmtree(folder, ignore_errors=True)
    raise typer.Exit(code)


def _perform(folder: Path, prompts: list[Prompt], seed: int, dispatchers: int, began: float) -> int:
    """Run and tell; the exit code."""
    console = Console(highlight=False)
    try:
        with ConsoleReporter() as reporter:
            demo = Demo(
                folder,
                prompts,
                seed=seed,
                dispatchers=dispatchers,
                console=console,
                reporter=reporter,
            )
            done = asyncio.run(_bounded(demo))
    except KeyboardInterrupt:
        return INTERRUPTED
    except asyncio.CancelledError:
        return TERMINATED
    except TimeoutError:
        typer.echo(f"The demo was not over after {LIMIT_S:.0f} s.", err=True)
        return 1
    except CANNOT_RUN as error:
        typer.echo(str(error), err=True)
        return int(getattr(error, "exit_code", 1))
    _tell(console, done, time.monotonic() - began)
    return 1 if done.findings.found else 0


async def _bounded(demo: Demo) -> Run:
    """Within the limit, and stopped in order by SIGTERM too; SIGINT is asyncio's own affair."""
    this = asyncio.current_task()
    if this is not None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, this.cancel)
    async with asyncio.timeout(LIMIT_S):
        return await demo.run()


def _tell(console: Console, done: Run, seconds: float) -> None:
    evidence, findings = done.evidence, done.findings
    console.print()
    console.print(latency_table(latencies(done.lanes, evidence.history)))
    takeover = takeover_s(evidence.calls, evidence.kill)
    reasons = reasons_of(evidence.dump.dead_letters)
    for name, value in figures(findings, reasons, takeover).items():
        console.print(f"  {name:<14} {value}", markup=False, soft_wrap=True)
    for finding in findings.found[:MOST_TOLD]:
        console.print(f"  DID NOT HOLD   {finding}", markup=False, soft_wrap=True)
    if len(findings.found) > MOST_TOLD:
        console.print(f"  and {len(findings.found) - MOST_TOLD} more", markup=False)
    console.print(last_line(findings, seconds), markup=False, soft_wrap=True)
