"""The product as a stack under load, with everything on that it has."""

import secrets
from collections.abc import Sequence

import yaml

from benchmarks.harness.stacks import (
    PLAIN_MODEL,
    STREAM_MODEL,
    Ground,
    Stack,
    StackFailed,
    tails,
    when_ready,
)
from headrace.cli.localkafka import free_ports
from headrace.schemas.keys import RANDOM_BYTES, digest, mint
from headrace.schemas.names import Tenant

TENANT = Tenant("bench")
FAR_AWAY = 100_000_000
"""Requests a minute."""


async def start_product(ground: Ground, name: str, *, limited: bool = False) -> Stack:
    """The product with everything on: keys, journal, events, metrics; `limited`: credits of a governor."""
    port, *metrics_ports = free_ports(4)
    api_key = mint(TENANT, secrets.token_bytes(RANDOM_BYTES))
    config = ground.folder / "headrace.yaml"
    config.write_text(
        _product_config(ground, port, metrics_ports, api_key, limited=limited), encoding="utf-8"
    )
    command = "headrace.cli.main"
    topics = await ground.spawn("topics", command, "topics", "apply", "--config", str(config))
    if await topics.wait() != 0:
        raise StackFailed(tails(ground.folder, "topics"))
    ingress = await ground.spawn(f"{name} ingress", command, "ingress", "--config", str(config))
    dispatcher = await ground.spawn(
        f"{name} dispatcher", command, "dispatcher", "--config", str(config)
    )
    governor = None
    if limited:
        governor = await ground.spawn(
            f"{name} governor", command, "governor", "--config", str(config)
        )
    stack = await when_ready(ground, name, port, api_key, ingress, dispatcher)
    if governor is not None:
        stack.processes[f"{name} governor"] = governor.pid
    return stack


def _product_config(
    ground: Ground, port: int, metrics: Sequence[int], api_key: str, *, limited: bool
) -> str:
    pepper_file = ground.folder / "pepper"
    pepper = secrets.token_hex(16)
    pepper_file.write_text(pepper, encoding="utf-8")

    limits = {"process_concurrency": 1000}
    if limited:
        limits["requests_per_minute"] = FAR_AWAY

    def deployment(model: str, upstream_port: int) -> dict[str, object]:
        upstream = {"base_url": f"http://127.0.0.1:{upstream_port}/v1"}
        return {
            "name": f"{model}-1",
            "model": model,
            "upstream": upstream,
            "limits": limits,
        }

    config = {
        "kafka": {
            "bootstrap_servers": [ground.bootstrap],
            "topic_prefix": "product.",
            "replication_factor": 1,
            "min_insync_replicas": 1,
        },
        "ingress": {
            "listen": f"127.0.0.1:{port}",
            "metrics_listen": f"127.0.0.1:{metrics[0]}",
            "index_dir": str(ground.folder / "index"),
        },
        "dispatcher": {"metrics_listen": f"127.0.0.1:{metrics[1]}"},
        "governor": {"metrics_listen": f"127.0.0.1:{metrics[2]}"},
        "deployments": [
            deployment(PLAIN_MODEL, ground.upstreams.plain),
            deployment(STREAM_MODEL, ground.upstreams.stream),
        ],
        "tenants": {TENANT: {"keys": [digest(api_key, pepper)]}},
        "auth": {"mode": "keys", "pepper": f"${{file:{pepper_file}}}"},
    }
    return yaml.safe_dump(config)
