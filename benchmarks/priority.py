"""B9, priority: `make bench-priority`; a flood of long calls in `batch`, short ones in `interactive`.

Three dispatchers share the seats of one deployment. The flood holds every seat that it may have for a
minute a call; every second an interactive request comes. Once with a reserve for the interactive lane, once
without. Judged by the clients' clocks and the upstream's own log. In about three minutes; the exit code says
whether it ran, not what it found.
"""

import asyncio
import contextlib
import hashlib
import json
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Annotated, Final

import aiohttp
import typer
from rich.console import Console

from benchmarks.harness.arena import LONG_LIVED
from benchmarks.harness.machine import machine_rows, raise_file_limit
from benchmarks.harness.stacks import StackFailed
from benchmarks.measures.priority import Sent, late_after_ends_ms, most_at_once, queue_waits_ms
from benchmarks.report.rows import Row, as_json, at_most, figure
from benchmarks.report.table import as_tables
from headrace.cli.localkafka import LocalKafka, LocalKafkaError, free_ports
from headrace.cli.mock.log import LoggedCall, read_log
from headrace.cli.progress import ConsoleReporter, Reporter
from headrace.cli.up import Stack
from headrace.cli.up.errors import StackError

RESULTS = Path(__file__).with_name("results") / "priority.json"
PAGE = 130
SEATS: Final = 10
RESERVE: Final = 0.1
DISPATCHERS: Final = 3
FLOOD_MS: Final = 60_000
FLOOD: Final = 4 * SEATS
QUICK_MS: Final = 150
WARM: Final = 5
"""Interactive requests that are sent before the flood: connections stand, code is loaded."""
BAR_MS: Final = 100.0
MODEL: Final = "seated"
FULL_S: Final = 30.0
POLL_S: Final = 0.1


def main(
    seconds: Annotated[float, typer.Option(min=10, help="Length of each part.")] = 60,
    results: Annotated[Path, typer.Option(help="File for the figures.")] = RESULTS,
) -> None:
    """Measure how long interactive requests wait beside a flood, with a reserve and without."""
    machine = machine_rows()
    console = Console(highlight=False, width=PAGE)
    for row in machine:
        console.print(f"{row.what}: {row.value}", markup=False, soft_wrap=True)
    raise_file_limit()
    rows = asyncio.run(measure(seconds))
    for table in as_tables(rows, "Interactive beside a flood in batch"):
        console.print(table)
    results.write_text(as_json([*machine, *rows]), encoding="utf-8")


async def measure(seconds: float) -> list[Row]:
    """Both parts, one after the other on one Kafka."""
    rows: list[Row] = []
    with (
        ConsoleReporter() as reporter,
        tempfile.TemporaryDirectory(prefix="headrace-bench-") as name,
    ):
        folder = Path(name)
        async with LocalKafka(folder / "kafka", jvm_options=LONG_LIVED, reporter=reporter) as kafka:
            for reserve in (RESERVE, 0.0):
                part = folder / ("reserve" if reserve else "none")
                async with stack(part, kafka.bootstrap, reserve, reporter) as running:
                    sent = await play(running, reporter, seconds)
                    calls = read_log(running.mock_log)
                rows += judge(sent, calls, reserve)
    return rows


def judge(sent: Sequence[Sent], calls: Sequence[LoggedCall], reserve: float) -> list[Row]:
    """The rows of one part."""
    where = f"{reserve:.0%} reserved" if reserve else "nothing reserved"
    rows = [
        at_most("B9", f"calls at once, {where}", most_at_once(calls), "", SEATS, judged=True),
        figure("B9", f"interactive requests, {where}", len(sent), ""),
    ]
    waits = queue_waits_ms(sent, calls)
    if reserve:
        middle, worst = quantile(waits, 0.5), quantile(waits, 0.99)
        rows.append(figure("B9", f"interactive queue wait p50, {where}", middle, "ms"))
        rows.append(
            at_most("B9", f"interactive queue wait p99, {where}", worst, "ms", BAR_MS, judged=True)
        )
        return rows
    late = late_after_ends_ms(sent, calls)
    rows.append(figure("B9", f"interactive queue wait p99, {where}", quantile(waits, 0.99), "ms"))
    rows.append(
        figure("B9", f"from a call's end to the next start p50, {where}", quantile(late, 0.5), "ms")
    )
    what = f"wait beyond the next call's end p99, {where}"
    rows.append(at_most("B9", what, quantile(late, 0.99), "ms", BAR_MS, judged=True))
    return rows


def quantile(values: Sequence[float], share: float) -> float:
    """The value that `share` of them do not exceed; nothing measured is as bad as can be."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float("inf")


@contextlib.asynccontextmanager
async def stack(
    folder: Path, bootstrap: str, reserve: float, reporter: Reporter
) -> AsyncIterator[Stack]:
    """Three dispatchers, a governor and the upstream."""
    (mock_port,) = free_ports(1)
    overlay = {
        "kafka": {"topic_prefix": f"{folder.name}.", "partitions": {"requests": 12}},
        "ingress": {"drain_s": 1, "kafka_grace_s": 5},
        "dispatcher": {"drain_s": 1},
        "lanes": {
            "interactive": {"deadline_s": 300, "reserve": reserve},
            "batch": {"deadline_s": 86_400},
        },
        "deployments": [
            {
                "name": MODEL,
                "model": MODEL,
                "upstream": {"base_url": f"http://127.0.0.1:{mock_port}/v1"},
                "limits": {"concurrency": SEATS},
            }
        ],
    }
    running = Stack(
        folder,
        dispatchers=DISPATCHERS,
        bootstrap=bootstrap,
        overlay=overlay,
        ports={"mock": mock_port},
        reporter=reporter,
    )
    async with running:
        await running.dispatchers_ready()
        yield running


async def play(running: Stack, reporter: Reporter, seconds: float) -> list[Sent]:
    """Fill the seats, then send an interactive request a second."""
    url = f"{running.ingress_url}/v1/chat/completions"
    sent: list[Sent] = []
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        for number in range(WARM):
            await ask(session, url, "interactive", f"warm {number}", QUICK_MS)
        reporter.say("filling the seats with calls of a minute")
        # The first ones end one after the other, so that later there is an end every few seconds.
        lengths = [FLOOD_MS * (n + 1) // SEATS for n in range(SEATS)]
        lengths += [FLOOD_MS] * (FLOOD - SEATS)
        asked = (
            asyncio.create_task(ask(session, url, "batch", f"flood {number}", length))
            for number, length in enumerate(lengths)
        )
        flood = list(islice(asked, SEATS))
        await filled(running)
        flood += asked
        reporter.say("sending interactive requests")
        began_s = time.monotonic()
        asking: list[asyncio.Task[Sent]] = []
        for number in range(int(seconds)):
            await asyncio.sleep(max(0.0, began_s + number - time.monotonic()))
            text = f"interactive {number}"
            asking.append(asyncio.create_task(ask(session, url, "interactive", text, QUICK_MS)))
        sent += await asyncio.gather(*asking)
        for task in flood:
            task.cancel()
        await asyncio.gather(*flood, return_exceptions=True)
    return sent


async def filled(running: Stack) -> None:
    """The flood has all that it may have. Errors: `StackFailed`."""
    give_up_s = time.monotonic() + FULL_S
    least = int(SEATS * (1 - RESERVE))
    while len([one for one in read_log(running.mock_log) if one.finished is None]) < least:
        if time.monotonic() > give_up_s:
            raise StackFailed(f"the flood did not fill the seats within {FULL_S:g} s")
        await asyncio.sleep(POLL_S)


async def ask(
    session: aiohttp.ClientSession, url: str, lane: str, text: str, latency_ms: int
) -> Sent:
    """One request. Errors: `StackFailed`, if it is not answered well."""
    body = json.dumps(
        {
            "model": MODEL,
            "messages": [{"role": "user", "content": text}],
            "user": f"latency={latency_ms}",
        }
    ).encode()
    headers = {"content-type": "application/json", "headrace-lane": lane}
    at_ms = time.time_ns() // 1_000_000
    async with session.post(url, data=body, headers=headers) as response:
        await response.read()
        if response.status != 200:
            raise StackFailed(f"an {lane} request was answered with {response.status}")
    return Sent(hashlib.sha256(body).hexdigest(), at_ms)


if __name__ == "__main__":
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(main)
    try:
        app()
    except (LocalKafkaError, StackError, StackFailed) as failed:
        sys.exit(str(failed))
