"""B14, the index: `make bench-index`; figures in results/index.json.

A row is a request with its three records on `status`. The exit code says whether it ran, not what it
found. Ten million rows take about 6 GiB of disk for Kafka and 4 GiB for the index.
"""

import tempfile
import time
from pathlib import Path
from typing import Annotated

import typer
import uvloop
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from rich.console import Console

from benchmarks.harness.arena import LONG_LIVED
from benchmarks.harness.machine import machine_rows
from benchmarks.measures.index import Run, fill, live
from benchmarks.report.rows import Row, as_json, at_most, figure
from benchmarks.report.table import as_tables
from headrace.cli.localkafka import LocalKafka
from headrace.cli.progress import ConsoleReporter
from headrace.schemas.config.model import Config
from headrace.schemas.topics import Topics, topic_specs

RESULTS = Path(__file__).with_name("results") / "index.json"
WHOLE = 10_000_000
REBUILD_S = 600.0
CATCH_UP_S = 5.0
ANSWER_MS = 50.0
MISSED = 20_000
"""Requests that run their course while the process is away: ten seconds at 2,000 a second."""
PAGE = 120
MIB = 1024 * 1024


def main(
    rows: Annotated[int, typer.Option(min=1000, help="Requests in the log.")] = WHOLE,
    results: Annotated[Path, typer.Option(help="File for the figures.")] = RESULTS,
) -> None:
    """Fill `status`, rebuild the index, restart it, and ask it all the while."""
    machine = machine_rows()
    console = Console(highlight=False, width=PAGE)
    for row in machine:
        console.print(f"{row.what}: {row.value}", markup=False, soft_wrap=True)
    found = uvloop.run(measure(rows))
    for table in as_tables(found, "The index"):
        console.print(table)
    results.write_text(as_json(machine + found), encoding="utf-8")


async def measure(rows: int) -> list[Row]:
    """Start Kafka, fill it, and let three indexes live one after the other."""
    with (
        ConsoleReporter() as reporter,
        tempfile.TemporaryDirectory(prefix="headrace-bench-") as name,
    ):
        folder = Path(name)
        local = LocalKafka(folder / "kafka", jvm_options=LONG_LIVED, reporter=reporter)
        async with local as kafka:
            config = _config(kafka.bootstrap)
            await _create_topics(config)
            topic = Topics(config.kafka.topic_prefix).status
            reporter.say(f"{rows} requests are written")
            began = time.perf_counter()
            records = await fill(kafka.bootstrap, topic, rows)
            filled_s = time.perf_counter() - began
            reporter.say("the index is built")
            built = await live(config, folder / "index", rows)
            size = sum(file.stat().st_size for file in (folder / "index").glob("*.sqlite*"))
            await fill(kafka.bootstrap, topic, MISSED, start=rows)
            again = await live(config, folder / "index", rows, after_s=5)
    return [
        figure("rows", f"requests in the log, {records} records", rows, "requests"),
        figure("fill", "written to Kafka in", filled_s, "s"),
        *_built_rows(built, rows, size),
        *_again_rows(again),
    ]


def _built_rows(built: Run, rows: int, size: int) -> list[Row]:
    whole_s = built.ready_s * WHOLE / rows
    told = "a rebuild of 10 million requests" + ("" if rows >= WHOLE else f", told from {rows}")
    return [
        figure("rebuild", "a rebuild of what was written", built.ready_s, "s"),
        at_most("B14", told, whole_s, "s", REBUILD_S, judged=rows >= WHOLE),
        figure("size", "the file for each request", size / rows, "bytes"),
        figure("memory", "peak of the whole process, Kafka apart", built.peak_rss / MIB, "MiB"),
        at_most("B14", "a known id while it is built, worst", max(built.answers_ms), "ms", ANSWER_MS,
                judged=True),
        figure("known", "known ids while it is built, p99", _at(built.answers_ms, 0.99), "ms"),
        figure("lag", "delay of the event loop while it is built, p99", _at(built.lags_ms, 0.99), "ms"),
        figure("lag", "delay of the event loop while it is built, worst", max(built.lags_ms), "ms"),
    ]  # fmt: skip


def _again_rows(again: Run) -> list[Row]:
    missed = f"a restart that has missed {MISSED} requests"
    return [
        at_most("B14", missed, again.ready_s, "s", CATCH_UP_S, judged=True),
        at_most("B14", "a known id after it, worst", max(again.answers_ms), "ms", ANSWER_MS,
                judged=True),
        figure("known", "known ids after it, p99", _at(again.answers_ms, 0.99), "ms"),
        figure("known", "of the ids asked for after it, found", again.found / len(again.answers_ms),
               "share"),
    ]  # fmt: skip


def _at(values: list[float], share: float) -> float:
    return sorted(values)[int(share * (len(values) - 1))]


def _config(bootstrap: str) -> Config:
    upstream = {"base_url": "http://127.0.0.1:1/v1"}
    return Config.model_validate(
        {
            "kafka": {
                "bootstrap_servers": [bootstrap],
                "topic_prefix": "b14.",
                "replication_factor": 1,
                "min_insync_replicas": 1,
            },
            "deployments": [{"name": "none", "model": "none", "upstream": upstream}],
        }
    )


async def _create_topics(config: Config) -> None:
    names = Topics(config.kafka.topic_prefix)
    admin = AIOKafkaAdminClient(bootstrap_servers=list(config.kafka.bootstrap_servers))
    await admin.start()
    try:
        await admin.create_topics(
            [
                NewTopic(spec.name, spec.partitions, spec.replication, topic_configs=spec.config)
                for spec in topic_specs(config)
                if spec.name in (names.status, names.claims)
            ]
        )
    finally:
        await admin.close()


if __name__ == "__main__":
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(main)
    app()
