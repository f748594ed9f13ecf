"""B8, retries that wait: `make bench-retries`; figures in results/retries.json.

The exit code says whether it ran, not what it found.
"""

import asyncio
import contextlib
import tempfile
from pathlib import Path
from typing import Annotated

import httpx
import typer
import uvloop
import yaml
from aiokafka import AIOKafkaProducer
from rich.console import Console

from benchmarks.harness.arena import LONG_LIVED
from benchmarks.harness.machine import machine_rows, raise_file_limit
from benchmarks.harness.stacks import Ground, StackFailed, Upstreams, tails
from benchmarks.measures.retries import Plan, Retrying
from benchmarks.report.rows import Row, as_json
from benchmarks.report.table import as_tables
from benchmarks.upstream.patient import Patience
from headrace.cli.lifeline import Child, Lifeline
from headrace.cli.localkafka import LocalKafka, free_ports
from headrace.cli.progress import ConsoleReporter

RESULTS = Path(__file__).with_name("results") / "retries.json"
COMMAND = "headrace.cli.main"
READY_LIMIT_S = 40.0
SEATS = 200
PAGE = 120


def main(
    waiting: Annotated[int, typer.Option(min=1, help="Retries that wait.")] = 100_000,
    rate: Annotated[float, typer.Option(min=1, help="Measured requests a second.")] = 100,
    seconds: Annotated[float, typer.Option(min=1, help="How long they are sent.")] = 40,
    results: Annotated[Path, typer.Option(help="File for the figures.")] = RESULTS,
) -> None:
    """Let many retries wait, and measure what they cost and how late others are beside them."""
    machine = machine_rows()
    console = Console(highlight=False, width=PAGE)
    for row in machine:
        console.print(f"{row.what}: {row.value}", markup=False, soft_wrap=True)
    raise_file_limit()
    rows = uvloop.run(measure(Plan(waiting, rate, seconds)))
    for table in as_tables(rows, "Waiting retries"):
        console.print(table)
    results.write_text(as_json(machine + rows), encoding="utf-8")


async def measure(plan: Plan) -> list[Row]:
    """Start Kafka, the upstream and one dispatcher; measure."""
    with (
        ConsoleReporter() as reporter,
        tempfile.TemporaryDirectory(prefix="headrace-bench-") as name,
    ):
        folder = Path(name)
        patience = Patience()
        upstream_port, metrics_port = free_ports(2)
        local = LocalKafka(folder / "kafka", jvm_options=LONG_LIVED, reporter=reporter)
        async with (
            local as kafka,
            Lifeline() as lifeline,
            await patience.serve(upstream_port),
            AIOKafkaProducer(bootstrap_servers=kafka.bootstrap, acks="all") as producer,
        ):
            ground = Ground(lifeline, folder, kafka.bootstrap, Upstreams(upstream_port, 0, ""))
            dispatcher = await start_dispatcher(ground, metrics_port)
            reporter.say(f"{plan.waiting} retries are sent to wait, {plan.rate:g}/s are measured")
            return await Retrying(
                plan,
                patience=patience,
                producer=producer,
                topic="b8.requests.batch",
                pid=dispatcher.pid,
            ).run()


async def start_dispatcher(ground: Ground, metrics_port: int) -> Child:
    """One dispatcher that is ready. Errors: `StackFailed`."""
    config = ground.folder / "headrace.yaml"
    upstream = {"base_url": f"http://127.0.0.1:{ground.upstreams.plain}/v1"}
    deployment = {"name": "patient", "model": "patient", "upstream": upstream}
    tree = {
        "kafka": {
            "bootstrap_servers": [ground.bootstrap],
            "topic_prefix": "b8.",
            "replication_factor": 1,
            "min_insync_replicas": 1,
        },
        "dispatcher": {"metrics_listen": f"127.0.0.1:{metrics_port}"},
        "deployments": [{**deployment, "limits": {"process_concurrency": SEATS}}],
    }
    config.write_text(yaml.safe_dump(tree), encoding="utf-8")
    topics = await ground.spawn("topics", COMMAND, "topics", "apply", "--config", str(config))
    if await topics.wait() != 0:
        raise StackFailed(tails(ground.folder, "topics"))
    child = await ground.spawn("dispatcher", COMMAND, "dispatcher", "--config", str(config))
    try:
        async with asyncio.timeout(READY_LIMIT_S):
            await _ready(f"http://127.0.0.1:{metrics_port}/readyz")
    except TimeoutError:
        raise StackFailed(tails(ground.folder, "dispatcher")) from None
    return child


async def _ready(url: str) -> None:
    async with httpx.AsyncClient(trust_env=False) as client:
        while True:
            with contextlib.suppress(httpx.TransportError):
                if (await client.get(url)).status_code == 200:
                    return
            await asyncio.sleep(0.2)


if __name__ == "__main__":
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(main)
    app()
