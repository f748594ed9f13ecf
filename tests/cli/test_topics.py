"""`headrace topics` on a real Kafka, and what it says when there is none."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from headrace.cli.localkafka import LocalKafka, free_ports
from headrace.cli.topics.admin import connect
from headrace.cli.topics.command import PENDING
from headrace.schemas.config.load import load


def config_file(folder: Path, bootstrap: str, prefix: str) -> Path:
    file = folder / "headrace.yaml"
    file.write_text(f"""
kafka:
  bootstrap_servers: ["{bootstrap}"]
  topic_prefix: "{prefix}"
  replication_factor: 1
  min_insync_replicas: 1
  request_timeout_s: 20
  partitions: {{requests: 2, delay: 1, replies: 2, control: 1, dead_letters: 1, events: 1}}
lanes: {{standard: {{deadline_s: 60}}}}
deployments: [{{name: m, model: m, upstream: {{base_url: "http://127.0.0.1:1/v1"}}}}]
""")
    return file


async def topics(verb: str, file: Path) -> tuple[int, str, str]:
    """Run the real command; its exit code and what it wrote."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "headrace.cli.main", "topics", verb),
        *("--config", str(file), "--output", "json"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    printed, told = await process.communicate()
    return process.returncode or 0, printed.decode(), told.decode()


async def test_plan_shows_apply_does_and_nothing_remains(
    kafka: LocalKafka, topic_prefix: str, tmp_path: Path
) -> None:
    file = config_file(tmp_path, kafka.bootstrap, topic_prefix)
    code, printed, _ = await topics("plan", file)
    assert code == PENDING
    assert f"{topic_prefix}requests.standard" in {one["topic"] for one in json.loads(printed)}
    code, printed, told = await topics("apply", file)
    assert (code, told) == (0, "")
    assert {one["action"] for one in json.loads(printed)} == {"create"}
    code, printed, told = await topics("plan", file)
    assert (code, printed, told) == (0, "[]\n", ""), told


async def test_apply_mends_a_topic_and_keeps_what_others_set_on_it(
    kafka: LocalKafka, topic_prefix: str, tmp_path: Path
) -> None:
    file = config_file(tmp_path, kafka.bootstrap, topic_prefix)
    name = f"{topic_prefix}requests.standard"
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    await admin.start()
    own = {"retention.ms": "1000", "flush.ms": "12345"}
    await admin.create_topics([NewTopic(name, 1, 1, topic_configs=own)])
    await admin.close()
    code, _, told = await topics("apply", file)
    assert (code, told) == (0, "")
    config = load(file, os.environ)
    async with connect(config.kafka) as connected:
        found = (await connected.existing([name]))[name]
    assert found.partitions == 2
    assert found.config["retention.ms"] == "172800000"
    assert found.config["message.timestamp.type"] == "LogAppendTime"
    assert found.config["flush.ms"] == "12345"


@pytest.mark.parametrize("verb", ["plan", "apply"])
async def test_a_kafka_that_is_away_is_named_within_its_time_limit(
    verb: str, tmp_path: Path
) -> None:
    (port,) = free_ports(1)
    code, _, told = await topics(verb, config_file(tmp_path, f"127.0.0.1:{port}", "x."))
    assert code == 12
    assert f"kafka_unreachable: No answer from Kafka at 127.0.0.1:{port}" in told


async def test_a_wrong_configuration_has_its_own_exit_code(tmp_path: Path) -> None:
    file = tmp_path / "headrace.yaml"
    file.write_text("kafka: {bootstrap: x}\n")
    code, _, told = await topics("plan", file)
    assert code == 78
    assert "bootstrap" in told
