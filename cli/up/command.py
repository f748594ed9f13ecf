"""The command line of `headrace up`.

Exit codes: 0 stopped as asked; 1 something did not start (the message says what); 3 an extra
is missing; 12 to 14 as `headrace topics`; 78 the configuration cannot be used.
"""

import asyncio
import logging
import os
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from headrace.cli.localkafka import LocalKafkaError
from headrace.cli.progress import ConsoleReporter
from headrace.cli.topics.errors import TopicsError
from headrace.cli.up.errors import StackError
from headrace.cli.up.layout import DEFAULT_PORTS, api_line, curl_line
from headrace.cli.up.stack import Stack
from headrace.schemas.config.errors import ConfigError
from headrace.schemas.config.load import load

Dispatchers = Annotated[int, typer.Option(min=1, max=16, help="How many dispatchers.")]
Bootstrap = Annotated[
    str | None, typer.Option(help="HOST:PORT of a Kafka that runs already, instead of ours.")
]
Data = Annotated[Path | None, typer.Option(help="Folder that keeps Kafka's records and logs.")]
ConfigFile = Annotated[Path | None, typer.Option(help="A configuration of your own.")]
LocalModel = Annotated[bool, typer.Option(help="Also run a small real model (250 MB, once).")]
Port = Annotated[int, typer.Option(help="The port of the HTTP API.")]


def up(
    dispatchers: Dispatchers = 2,
    bootstrap: Bootstrap = None,
    data: Data = None,
    config: ConfigFile = None,
    local_model: LocalModel = False,
    port: Port = DEFAULT_PORTS["ingress"],
) -> None:
    """Run Kafka and every role on this machine until Ctrl-C; the data folder is kept."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # we tell it in our own words
    with ConsoleReporter() as reporter:
        stack = Stack(
            data or default_data_dir(),
            dispatchers=dispatchers,
            bootstrap=bootstrap,
            config=config,
            local_model=local_model,
            ports={**DEFAULT_PORTS, "ingress": port},
            supervise=True,
            reporter=reporter,
        )
        try:
            asyncio.run(_run(stack))
        except (StackError, LocalKafkaError, TopicsError, ConfigError) as error:
            typer.echo(str(error), err=True)
            raise typer.Exit(getattr(error, "exit_code", 1)) from None


def default_data_dir() -> Path:
    """One folder for this user (XDG Base Directory Specification 0.8)."""
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "headrace" / "up"
    base = os.environ.get("XDG_DATA_HOME")
    return (Path(base) if base else Path.home() / ".local" / "share") / "headrace" / "up"


async def _run(stack: Stack) -> None:
    """Start, print, wait for a signal, stop in order; a second signal does not wait."""
    stopping = asyncio.Event()
    work = asyncio.create_task(_serve(stack, stopping))
    loop = asyncio.get_running_loop()

    def stop() -> None:
        if stopping.is_set():
            stack.kill()
        elif not stack.started:
            work.cancel()
        stopping.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)
    await asyncio.wait([work])
    if not work.cancelled():
        work.result()


async def _serve(stack: Stack, stopping: asyncio.Event) -> None:
    console = Console(highlight=False)
    async with stack:
        _print_places(stack, console)
        await stopping.wait()
        console.print("\nStopping: ingress, dispatchers, upstreams, Kafka ...")
    console.print(f"Stopped. The records are kept in {stack.data_dir}", soft_wrap=True)


def _print_places(stack: Stack, console: Console) -> None:
    config = load(stack.config_path, {**os.environ, **stack.environ})
    models = ", ".join(dict.fromkeys(one.model for one in config.deployments))
    with_key = config.auth.mode == "keys"
    curl = curl_line(stack.ingress_url, config.deployments[0].model, with_key=with_key)
    rows = {
        "API": api_line(stack.ingress_url, with_key=with_key),
        "models": models,
        "metrics": f"http://127.0.0.1:{stack.layout.ingress_metrics}/metrics",
        "mock upstream": stack.mock_url,
        "Kafka": stack.bootstrap,
        "configuration": str(stack.config_path),
        "data, logs": str(stack.data_dir),
    }
    console.print("Headrace is up.", style="bold green")
    for name, value in rows.items():
        console.print(f"  {name:<14} {value}", markup=False, soft_wrap=True)
    console.print("\nTry it:", markup=False)
    console.print(f"  {curl}\n", markup=False, soft_wrap=True)
    console.print("Ctrl-C stops it.", markup=False)
