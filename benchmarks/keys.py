"""B13: what an idempotency key adds to a request's latency. `make bench-keys`.

Windows of plain and of keyed requests take turns on one product; every key is a new one, so each keyed
request claims. Few clients: the bar is about a request's own way, not about full cores.
"""

import asyncio
import contextlib
import itertools
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from benchmarks.harness.arena import LONG_LIVED, start_upstreams
from benchmarks.harness.machine import machine_rows
from benchmarks.harness.options import MIN_PAIRS, Options
from benchmarks.harness.product import start_product
from benchmarks.harness.stacks import Ground, Stack, StackFailed
from benchmarks.load.connection import Connection, connect
from benchmarks.load.jobs import NOTHING, Quantiles, quantiles
from benchmarks.report.rows import Row, as_json, at_most, figure, middle, spread
from benchmarks.report.table import as_tables
from headrace.cli.lifeline import Lifeline
from headrace.cli.localkafka import LocalKafka, LocalKafkaError
from headrace.cli.progress import ConsoleReporter

RESULTS = Path(__file__).with_name("results")
P50_BAR_MS = 5.0
P99_BAR_MS = 20.0
WARM_PAIRS = 2
"""Which are not measured: a young JVM compiles beside its work, and takes twice the CPU."""
ANSWER_S = 30.0
"""A request that takes longer ends the run."""

Requests = Iterator[bytes]


def main(
    pairs: Annotated[int, typer.Option(min=1, help="Pairs of windows, plain and keyed.")] = 6,
    seconds: Annotated[float, typer.Option(min=1, help="Length of one window.")] = 4.0,
    clients: Annotated[int, typer.Option(min=1, help="Connections.")] = 4,
    results: Annotated[Path, typer.Option(help="Folder for the JSON file.")] = RESULTS,
) -> None:
    """Measure keyed requests beside plain ones, in about a minute."""
    console = Console(highlight=False)
    machine = machine_rows()
    for row in machine:
        console.print(f"{row.what}: {row.value}", markup=False, soft_wrap=True)
    rows = asyncio.run(run(pairs, seconds, clients))
    for table in as_tables(rows):
        console.print(table)
    results.mkdir(parents=True, exist_ok=True)
    (results / "keys.json").write_text(as_json(machine + rows), encoding="utf-8")


async def run(pairs: int, seconds: float, clients: int) -> list[Row]:
    """Start everything, measure, return the rows."""
    reporter, options = ConsoleReporter(), Options()
    with reporter, tempfile.TemporaryDirectory(prefix="headrace-bench-") as name:
        reporter.say("starting Kafka, the upstream and the product")
        folder = Path(name)
        local = LocalKafka(folder / "kafka", jvm_options=LONG_LIVED, reporter=reporter)
        async with local as kafka, Lifeline() as lifeline:
            upstreams, _ = await start_upstreams(lifeline, folder, options)
            ground = Ground(lifeline, folder, kafka.bootstrap, upstreams)
            product = await start_product(ground, "product")
            reporter.say("measuring")
            return rows_of(await measure(product, pairs, seconds, clients), clients)


async def measure(
    product: Stack, pairs: int, seconds: float, clients: int
) -> list[tuple[Quantiles, Quantiles]]:
    """(plain, keyed), pair by pair; who goes first takes turns."""
    plain, keyed = _plain(product), _keyed(product)
    for warm in (plain, keyed) * WARM_PAIRS:
        await window(product.port, warm, clients, seconds)
    found = []
    for number in range(pairs):
        order = (plain, keyed) if number % 2 == 0 else (keyed, plain)
        first, second = [await window(product.port, each, clients, seconds) for each in order]
        found.append((first, second) if number % 2 == 0 else (second, first))
    return found


def rows_of(pairs: list[tuple[Quantiles, Quantiles]], clients: int) -> list[Row]:
    """The two bars, and what they are made of."""
    judged = len(pairs) >= MIN_PAIRS

    def added(at: Callable[[Quantiles], float]) -> list[float]:
        return [at(keyed) - at(plain) for plain, keyed in pairs]

    p50, p99 = added(lambda one: one.p50), added(lambda one: one.p99)
    rows = [
        at_most(
            "B13", f"a key adds, p50 ({spread(p50)})", middle(p50), "ms", P50_BAR_MS, judged=judged
        ),
        at_most(
            "B13", f"a key adds, p99 ({spread(p99)})", middle(p99), "ms", P99_BAR_MS, judged=judged
        ),
        figure("B13.clients", "connections, each with its next request at once", str(clients), ""),
    ]
    for place, name in enumerate(("plain", "keyed")):
        for label, values in (
            ("p50", [pair[place].p50 for pair in pairs]),
            ("p99", [pair[place].p99 for pair in pairs]),
        ):
            rows.append(figure(f"B13.{name}", f"{name} requests, {label}", middle(values), "ms"))
        counts = [float(pair[place].count) for pair in pairs]
        rows.append(figure(f"B13.{name}", f"{name} requests in a window", middle(counts), ""))
    return rows


async def window(port: int, requests: Requests, clients: int, seconds: float) -> Quantiles:
    """`clients` connections, each sending its next request when it has its answer."""
    latencies: list[float] = []
    ends_at = time.monotonic() + seconds

    async def client() -> None:
        answers: asyncio.Queue[int] = asyncio.Queue()
        connection = await connect(
            port, lambda: Connection(lambda _, status: answers.put_nowait(status))
        )
        with contextlib.closing(connection):
            while time.monotonic() < ends_at:
                sent_at = time.monotonic()
                connection.send(next(requests))
                async with asyncio.timeout(ANSWER_S):
                    status = await answers.get()
                if status != 200:
                    raise StackFailed(f"a request was answered {status}")
                latencies.append((time.monotonic() - sent_at) * 1000)

    async with asyncio.TaskGroup() as group:
        for _ in range(clients):
            group.create_task(client())
    return quantiles(latencies) or NOTHING


def _plain(product: Stack) -> Requests:
    return itertools.repeat(product.target(stream=False).request())


def _keyed(product: Stack) -> Requests:
    head, _, rest = product.target(stream=False).request().partition(b"\r\n")
    for number in itertools.count():
        yield b"%b\r\nidempotency-key: bench-%d\r\n%b" % (head, number, rest)


if __name__ == "__main__":
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(main)
    try:
        app()
    except* (LocalKafkaError, StackFailed, TimeoutError) as failed:
        sys.exit("; ".join(map(str, failed.exceptions)))
