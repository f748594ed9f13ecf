"""An ingress as it really runs, inside the test's own loop, on a real Kafka."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from tempfile import TemporaryDirectory
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from headrace.ingress.app import Ingress
from headrace.schemas.config.model import Config
from headrace.schemas.topics import Topics, topic_specs

MODEL = "small"


def ingress_config(
    bootstrap: str, prefix: str, *, security: dict[str, Any] | None = None, **sections: Any
) -> Config:
    """Two lanes, few partitions, free ports, one model; `sections` win."""
    ingress = {"listen": "127.0.0.1:0", "metrics_listen": "127.0.0.1:0", "drain_s": 5}
    settings: dict[str, Any] = {
        "kafka": {
            "bootstrap_servers": [bootstrap],
            "security": security or {},
            "topic_prefix": prefix,
            "replication_factor": 1,
            "min_insync_replicas": 1,
            "partitions": {"requests": 4, "replies": 4, "control": 2},
        },
        "lanes": {"interactive": {"deadline_s": 20}, "standard": {"deadline_s": 60}},
        "deployments": [
            {"name": "east", "model": MODEL, "upstream": {"base_url": "http://127.0.0.1:1/v1"}}
        ],
    }
    settings |= sections
    settings["ingress"] = ingress | dict(sections.get("ingress", {}))
    return Config.model_validate(settings)


async def create_topics(config: Config) -> None:
    """The topics that an ingress needs."""
    names = Topics(config.kafka.topic_prefix)
    shared = (names.replies, names.control, names.results, names.status, names.claims)
    wanted = {*(names.requests(lane) for lane in config.lanes), *shared}
    wanted |= {names.dead_letters, *(names.inbox(tenant) for tenant in config.tenants)}
    admin = AIOKafkaAdminClient(bootstrap_servers=list(config.kafka.bootstrap_servers))
    await admin.start()
    try:
        await admin.create_topics(
            [
                NewTopic(spec.name, spec.partitions, spec.replication, topic_configs=spec.config)
                for spec in topic_specs(config)
                if spec.name in wanted
            ]
        )
    finally:
        await admin.close()


@asynccontextmanager
async def serving(config: Config) -> AsyncIterator[Ingress]:
    """A running ingress, with an index of its own that goes with it."""
    with TemporaryDirectory() as folder:
        ingress = config.ingress
        if ingress.index_dir is None:
            ingress = ingress.model_copy(update={"index_dir": folder})
        async with Ingress(config.model_copy(update={"ingress": ingress})) as running:
            yield running


def url(ingress: Ingress, path: str = "") -> str:
    """Where it answers."""
    return f"http://127.0.0.1:{ingress.port}{path}"
