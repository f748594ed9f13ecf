"""A second ingress beside an installation's own, as a process that a test may kill."""

import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

import httpx

from headrace.cli.lifeline import Child, Lifeline
from headrace.cli.localkafka import free_ports
from support.eventually import eventually
from support.installation import Installation


class Replica(NamedTuple):
    """One more ingress; `url` ends with `/v1`."""

    url: str
    process: Child


@asynccontextmanager
async def replica(running: Installation, name: str = "second") -> AsyncIterator[Replica]:
    """Start it with the installation's configuration on ports of its own; it is ready, its index too."""
    port, metrics = free_ports(2)
    environ = os.environ | {
        "HEADRACE__INGRESS__LISTEN": f"127.0.0.1:{port}",
        "HEADRACE__INGRESS__METRICS_LISTEN": f"127.0.0.1:{metrics}",
    }
    stack = running.stack
    command = [sys.executable, "-m", "headrace.cli.main", "ingress", "--config"]
    async with Lifeline() as lifeline:
        process = await lifeline.spawn(
            [*command, str(stack.config_path)],
            log=stack.data_dir / "logs" / f"ingress-{name}.log",
            env=environ,
        )
        base = f"http://127.0.0.1:{port}"

        async def ready() -> bool:
            assert process.returncode is None, "the second ingress has ended"
            async with httpx.AsyncClient(trust_env=False) as http:
                try:
                    told = await http.get(f"{base}/readyz?verbose")
                    return bool(told.status_code == 200 and told.json()["checks"]["index"] == "ok")
                except httpx.TransportError:
                    return False

        await eventually(ready, within_s=60, every_s=0.1)
        yield Replica(f"{base}/v1", process)
