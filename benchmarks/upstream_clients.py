"""What one upstream call costs with aiohttp and with httpx: `python -m benchmarks.upstream_clients`.

The dispatcher calls upstreams with aiohttp because of these figures. Each client runs in a
process of its own, 100 calls at a time, in turn; the figure is its CPU time per call.
"""

import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp
import httpx
import uvloop

from benchmarks.harness.arena import start_upstreams
from benchmarks.harness.machine import machine_rows
from benchmarks.harness.options import Options
from benchmarks.harness.stacks import PATH, chat_body
from benchmarks.harness.windows import ROOT
from benchmarks.report.rows import Row, as_json, figure, middle, spread
from headrace.cli.lifeline import Lifeline

AT_ONCE = 100
ROUNDS = 5
CALLS = {"aiohttp": 4000, "httpx": 500}
HEADERS = {"content-type": "application/json", "authorization": "Bearer none"}
RESULTS = Path(__file__).with_name("results") / "upstream-clients.json"

Call = Callable[[], Awaitable[int]]


def main() -> None:
    """Measure, print, write the results. With two arguments: run one client."""
    if sys.argv[1:]:
        client, url = sys.argv[1:]
        uvloop.run(run_client(client, url))
        return
    machine = machine_rows()
    for row in machine:
        print(f"{row.what}: {row.value}")
    rows = asyncio.run(compare())
    for row in rows:
        print(f"{row.id}: {row.value} {row.unit}, {row.what}")
    RESULTS.write_text(as_json(machine + rows), encoding="utf-8")


async def compare() -> list[Row]:
    """Both clients in turn, and their ratio."""
    costs: dict[str, list[float]] = {client: [] for client in CALLS}
    with tempfile.TemporaryDirectory(prefix="headrace-bench-") as folder:
        async with Lifeline() as lifeline:
            upstreams, _ = await start_upstreams(lifeline, Path(folder), Options())
            url = f"http://127.0.0.1:{upstreams.plain}{PATH}"
            for _ in range(ROUNDS):
                for client in CALLS:
                    costs[client].append(await measure_client(client, url))
    return client_rows(costs)


def client_rows(costs: dict[str, list[float]]) -> list[Row]:
    """One row a client, and how many times more httpx costs."""
    rows = [
        figure(
            "upstream-clients", f"{client}, {AT_ONCE} at once ({spread(us)})", middle(us), "us/call"
        )
        for client, us in costs.items()
    ]
    ratios = [b / a for a, b in zip(costs["aiohttp"], costs["httpx"], strict=True)]
    what = f"CPU per call, httpx / aiohttp ({spread(ratios)})"
    return [*rows, figure("upstream-clients", what, middle(ratios), "x")]


async def measure_client(client: str, url: str) -> float:
    """Microseconds of CPU per call, from a process of its own."""
    command = (sys.executable, "-m", "benchmarks.upstream_clients", client, url)
    process = await asyncio.create_subprocess_exec(
        *command, cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    printed, _ = await process.communicate()
    return float(json.loads(printed))


async def run_client(client: str, url: str) -> None:
    """Warm up, make the calls, print the cost of one."""
    body = chat_body(stream=False).encode()
    if client == "aiohttp":
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector) as session:

            async def call() -> int:
                async with session.post(url, data=body, headers=HEADERS) as response:
                    await response.read()
                    return response.status

            await time_calls(call, CALLS[client])
    else:
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
        async with httpx.AsyncClient(limits=limits, trust_env=False, timeout=30) as http:

            async def call() -> int:
                return (await http.post(url, content=body, headers=HEADERS)).status_code

            await time_calls(call, CALLS[client])


async def time_calls(call: Call, calls: int) -> None:
    """`AT_ONCE` workers share the calls; a tenth more before, to open the connections."""
    await make_calls(call, max(calls // 10, AT_ONCE))
    before = time.process_time()
    await make_calls(call, calls)
    print(json.dumps((time.process_time() - before) / calls * 1e6))


async def make_calls(call: Call, calls: int) -> None:
    """Errors: `RuntimeError` on any status but 200."""
    left = iter(range(calls))

    async def work() -> None:
        for _ in left:
            status = await call()
            if status != 200:
                raise RuntimeError(f"the upstream answered {status}")

    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(work())


if __name__ == "__main__":
    main()
