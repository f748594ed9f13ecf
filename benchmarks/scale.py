"""B12, more dispatchers: `make bench-scale`; figures in results/scale.json.

The same backlog of requests, with one, four and eight dispatchers of 50 calls in flight each, at an upstream
that takes half a second for each answer. Requests come from Kafka alone, from many tenants, so that all
dispatchers have as much as they can do, and only their own work is measured. The exit code says whether
it ran, not what it found.
"""

import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
import uvloop
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from rich.console import Console

from benchmarks.harness.arena import LONG_LIVED
from benchmarks.harness.machine import machine_rows, raise_file_limit
from benchmarks.harness.stacks import StackFailed, chat_body
from benchmarks.harness.usage import busy_s, read_usage, spent
from benchmarks.report.rows import Row, as_json, at_least, at_most, figure
from benchmarks.report.table import as_tables
from benchmarks.upstream.slow import Slow
from headrace.cli.localkafka import LocalKafka, LocalKafkaError, free_ports
from headrace.cli.progress import ConsoleReporter
from headrace.cli.up import Stack
from headrace.cli.up.errors import StackError
from headrace.schemas.names import LaneName
from headrace.schemas.topics import Topics

RESULTS = Path(__file__).with_name("results") / "scale.json"
STEPS = (1, 4, 8)
SEATS = 50
LATENCY_S = 0.5
PARTITIONS = 24
WARM_S = 3.0
FULL_LIMIT_S = 60.0
RATE_BAR = 3.6
CPU_BAR = 1.15
PAGE = 120
BATCH = 2_000


@dataclass(frozen=True)
class Step:
    """One number of dispatchers under load."""

    per_s: float
    cpu_ms: float
    """Of all dispatchers, for one request."""
    machine: float
    """Share of all cores that were busy."""


def main(
    seconds: Annotated[float, typer.Option(min=2, help="Length of one window.")] = 10.0,
    results: Annotated[Path, typer.Option(help="File for the figures.")] = RESULTS,
) -> None:
    """Measure what more dispatchers bring, and what they cost, in about two minutes."""
    machine = machine_rows()
    console = Console(highlight=False, width=PAGE)
    for row in machine:
        console.print(f"{row.what}: {row.value}", markup=False, soft_wrap=True)
    raise_file_limit()
    rows = rows_of(uvloop.run(measure(seconds)))
    for table in as_tables(rows, "More dispatchers"):
        console.print(table)
    results.write_text(as_json(machine + rows), encoding="utf-8")


async def measure(seconds: float) -> dict[int, Step]:
    """Dispatchers -> what they did. Errors: `StackFailed`, `StackError`, `LocalKafkaError`."""
    steps: dict[int, Step] = {}
    with (
        ConsoleReporter() as reporter,
        tempfile.TemporaryDirectory(prefix="headrace-bench-") as name,
    ):
        local = LocalKafka(Path(name) / "kafka", jvm_options=LONG_LIVED, reporter=reporter)
        async with local as kafka:
            for count in STEPS:
                reporter.say(f"{count} dispatchers")
                steps[count] = await _step(kafka.bootstrap, Path(name), count, seconds)
    return steps


def rows_of(steps: Mapping[int, Step]) -> list[Row]:
    """The two bars, and what they are made of."""
    one, four, eight = (steps[count] for count in STEPS)
    what = "requests a second with 4 dispatchers, of those with 1"
    rows = [
        at_least("B12", what, four.per_s / one.per_s, "x", RATE_BAR, judged=True),
        at_most(
            "B12",
            "CPU of all dispatchers for a request with 8, of that with 1",
            eight.cpu_ms / one.cpu_ms,
            "x",
            CPU_BAR,
            judged=True,
        ),
    ]
    for count, step in steps.items():
        rows += [
            figure(f"B12.{count}", f"{count} dispatchers", step.per_s, "requests/s"),
            figure(f"B12.{count}", f"{count} dispatchers, CPU of all", step.cpu_ms, "ms/request"),
            figure(f"B12.{count}", f"{count} dispatchers, machine busy", step.machine, "%"),
        ]
    return rows


async def _step(bootstrap: str, folder: Path, count: int, seconds: float) -> Step:
    slow = Slow(LATENCY_S)
    (port,) = free_ports(1)
    topics = Topics(f"b12-{count}.")
    deployment = {
        "name": "slow",
        "model": "bench-plain",
        "upstream": {"base_url": f"http://127.0.0.1:{port}/v1"},
        "limits": {"process_concurrency": SEATS},
    }
    stack = Stack(
        folder / f"stack-{count}",
        dispatchers=count,
        bootstrap=bootstrap,
        overlay={
            "kafka": {"topic_prefix": topics.prefix, "partitions": {"requests": PARTITIONS}},
            "ingress": {"drain_s": 1},
            "dispatcher": {"drain_s": 2},
            "deployments": [deployment],
        },
    )
    async with await slow.serve(port), stack:
        await stack.dispatchers_ready()
        wanted = round(count * SEATS / LATENCY_S * (WARM_S + seconds)) + count * SEATS * 4
        await _send(bootstrap, topics, wanted)
        await _until_full(slow, count * SEATS)
        await asyncio.sleep(WARM_S)
        pids = {role.name: role.pid for role in stack.dispatchers}
        before, busy, answered, began = read_usage(pids), busy_s(), slow.answered, time.monotonic()
        await asyncio.sleep(seconds)
        took_s, done = time.monotonic() - began, slow.answered - answered
        cpu_s, busy = sum(spent(before, read_usage(pids)).values()), busy_s() - busy
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
    return Step(done / took_s, cpu_s / done * 1000, busy / took_s / cores * 100)


async def _send(bootstrap: str, topics: Topics, count: int) -> None:
    """As many requests as are called within the step, to all partitions alike."""
    lane, own = topics.requests(LaneName("standard")), f"{topics.prefix}own.replies"
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(own, 8, 1)])
    finally:
        await admin.close()
    body = chat_body(stream=False).encode()
    async with AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", linger_ms=5) as producer:
        for begin in range(0, count, BATCH):
            sent = [
                await producer.send(
                    lane,
                    body,
                    partition=number % PARTITIONS,
                    headers=[
                        ("headrace-tenant", b"t%d" % (number % PARTITIONS)),
                        ("reply-topic", own.encode()),
                    ],
                )
                for number in range(begin, min(begin + BATCH, count))
            ]
            await asyncio.gather(*sent)


async def _until_full(slow: Slow, calls: int) -> None:
    give_up_at = time.monotonic() + FULL_LIMIT_S
    while slow.running < calls:
        if time.monotonic() > give_up_at:
            raise StackFailed(f"{slow.running} of {calls} calls in flight")
        await asyncio.sleep(0.05)


if __name__ == "__main__":
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(main)
    try:
        app()
    except (LocalKafkaError, StackError, StackFailed) as failed:
        sys.exit(str(failed))
