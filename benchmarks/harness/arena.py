"""Everything that runs while the bench measures, started in order and ended together."""

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.harness.options import Options
from benchmarks.harness.product import start_product
from benchmarks.harness.stacks import Ground, Stack, Upstreams, start_bare
from benchmarks.harness.windows import Measured, run_window
from benchmarks.load.jobs import Job, Target
from benchmarks.upstream.nginx import nginx_command
from headrace.cli.lifeline import Lifeline
from headrace.cli.localkafka import LocalKafka, free_ports
from headrace.cli.progress import Reporter

BARE = "bare"
PRODUCT = "product"
DIRECT = "direct"
KAFKA = "Kafka"
LONG_LIVED = ("-XX:TieredStopAtLevel=4",)
"""The optimizing compiler, as every broker in service has it; it is off for short local runs."""


@dataclass(frozen=True)
class Arena:
    """A Kafka, two upstreams, the bare loop and the product, all running."""

    upstreams: Upstreams
    bare: Stack
    product: Stack
    processes: dict[str, int]
    """Name -> pid of everything but the generator."""

    def target(self, subject: str, *, stream: bool) -> Target:
        """Where the load of a subject goes."""
        if subject == DIRECT:
            return self.upstreams.target(stream=stream)
        stack = {BARE: self.bare, PRODUCT: self.product}[subject]
        return stack.target(stream=stream)

    async def measure(self, job: Job) -> Measured:
        """Run one window with all processes watched."""
        return await run_window(job, self.processes)


@contextlib.asynccontextmanager
async def arena(options: Options, reporter: Reporter) -> AsyncIterator[Arena]:
    """Start all of it in a temporary folder. Errors: `StackFailed`, `LocalKafkaError`."""
    with tempfile.TemporaryDirectory(prefix="headrace-bench-") as name:
        folder = Path(name)
        local = LocalKafka(folder / "kafka", jvm_options=LONG_LIVED, reporter=reporter)
        async with local as kafka, Lifeline() as lifeline:
            upstreams, upstream_pids = await start_upstreams(lifeline, folder, options)
            ground = Ground(lifeline, folder, kafka.bootstrap, upstreams)
            bare = await start_bare(ground, BARE)
            if options.control:
                product = await start_bare(ground, PRODUCT)
            else:
                product = await start_product(ground, PRODUCT, limited=options.limited)
            pids = {KAFKA: kafka.node.pid, **upstream_pids, **bare.processes, **product.processes}
            yield Arena(upstreams, bare, product, pids)


async def start_upstreams(
    lifeline: Lifeline, folder: Path, options: Options
) -> tuple[Upstreams, dict[str, int]]:
    """nginx where there is one; the server for streams can do its work too."""
    plain, stream = free_ports(2)
    ground = Ground(lifeline, folder, "", Upstreams(plain, stream, ""))
    rate, tokens = str(options.stream_rate), str(options.stream_tokens)
    server = await ground.spawn(
        "stream upstream", "benchmarks.upstream.server", str(stream), rate, tokens
    )
    pids = {"stream upstream": server.pid}
    command = nginx_command(folder / "nginx", plain)
    if command is None:
        name, plain = "a small asyncio server", stream
    else:
        nginx = await lifeline.spawn(command, log=folder / "nginx.log", cwd=folder / "nginx")
        name = "nginx"
        pids["plain upstream"] = nginx.pid
    await asyncio.gather(*(listens(port) for port in {plain, stream}))
    return Upstreams(plain, stream, name), pids


async def listens(port: int) -> None:
    async with asyncio.timeout(10):
        while True:
            with contextlib.suppress(ConnectionRefusedError):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                return
            await asyncio.sleep(0.02)
