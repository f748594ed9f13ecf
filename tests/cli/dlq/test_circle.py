"""A dead letter goes once around: refused by the upstream, replayed, answered to its own producer."""

import json
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
import yaml

from headrace.cli.localkafka import LocalKafka
from support.commands import headrace_process
from support.eventually import eventually
from support.installation import Installation, chat, header, installation

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.integration]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def running(
    kafka: LocalKafka, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Installation]:
    folder = tmp_path_factory.mktemp("stack")
    async with installation(kafka.bootstrap, folder, models={"small": {}}) as one:
        yield one


@pytest.fixture(scope="module")
def config(running: Installation, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("config") / "headrace.yaml"
    kafka = {
        "bootstrap_servers": [running.bootstrap],
        "topic_prefix": running.topics.prefix,
        "replication_factor": 1,
        "min_insync_replicas": 1,
    }
    upstream = {"base_url": running.upstream_url}
    deployment = {"name": "small", "model": "small", "upstream": upstream}
    file.write_text(yaml.safe_dump({"kafka": kafka, "deployments": [deployment]}))
    return file


async def test_a_replay_is_run_again_and_answered_under_its_old_id(
    running: Installation, config: Path
) -> None:
    answers = await running.topic(f"out.{uuid.uuid4().hex}")
    body = chat("fails three times", user="fail=3x500")
    headers = [("reply-topic", answers.encode()), ("ce_id", b"round"), ("x", b"\x00\xff")]
    lane = running.topics.requests("standard")
    await running.produce(lane, body, headers=headers, key=b"mine", partition=2)
    (first,) = await running.read(answers, within_s=60)
    assert header(first, "headrace-outcome") == b"dead_lettered"
    code, printed, told = await headrace_process(
        "dlq", "replay", "round", "-c", str(config), "-o", "json"
    )
    assert code == 0, told
    assert json.loads(printed)["replayed_as"] == "round"
    _, second = await running.read(answers, 2, within_s=60)
    assert header(second, "ce_id") == b"round"
    assert header(second, "headrace-outcome") == b"completed"
    original, replay = await running.dump(lane)
    assert (replay.key, replay.value, replay.partition) == (b"mine", body, original.partition)
    assert list(replay.headers) == [*original.headers, ("headrace-replays", b"1")]


async def test_a_request_that_came_over_kafka_is_cancelled_by_its_id(
    running: Installation, config: Path
) -> None:
    answers = await running.topic(f"out.{uuid.uuid4().hex}")
    body = chat("slow", user="latency_ms=60000")
    headers = [("reply-topic", answers.encode()), ("ce_id", b"unwanted")]
    await running.produce(running.topics.requests("standard"), body, headers=headers)
    await eventually(lambda: running.calls_with(body))
    code, _, told = await headrace_process("cancel", "--id", "unwanted", "-c", str(config))
    assert code == 0, told
    (answer,) = await running.read(answers)
    assert header(answer, "headrace-outcome") == b"cancelled"
