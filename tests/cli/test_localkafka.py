"""The local Kafka: its pure parts, and one real life of a node."""

import asyncio
import os
import subprocess
import sys
import uuid
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from headrace.cli.localkafka import FolderInUse, LocalKafka, LocalKafkaError, jars
from headrace.cli.localkafka.cache import cache_dir
from headrace.cli.localkafka.distribution import find_distribution
from headrace.cli.localkafka.properties import Ports, properties_text
from headrace.cli.progress import Silent
from support.eventually import eventually

ROOT = Path(__file__).parents[2]


def test_every_listener_binds_and_advertises_the_loopback_address() -> None:
    lines = properties_text(Ports(1, 2, 3), {}).splitlines()
    named = [line for line in lines if "listeners=" in line]
    assert len(named) == 2
    assert all(line.count("://127.0.0.1:") == 3 for line in named)
    assert "localhost" not in "".join(lines)


def test_extra_properties_win_over_ours() -> None:
    text = properties_text(Ports(1, 2, 3), {"auto.create.topics.enable": "true", "path": "a\\b"})
    assert "auto.create.topics.enable=true\n" in text
    assert "auto.create.topics.enable=false" not in text
    assert "path=a\\\\b\n" in text


def test_the_lock_names_kafka_and_hashes_every_jar() -> None:
    locked = jars.locked_jars()
    assert f"kafka_2.13-{jars.KAFKA_VERSION}.jar" in {jar.filename for jar in locked}
    assert all(len(jar.sha256) == 64 and jar.size > 0 for jar in locked)


def test_a_locked_jar_cannot_be_fetched_offline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(jars.OFFLINE_NAME, "1")
    with pytest.raises(LocalKafkaError, match="run once without it"):
        jars.ensure_jars(tmp_path, Silent())


def test_the_cache_folder_is_named_by_the_environment_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEADRACE_CACHE", str(tmp_path))
    assert cache_dir() == tmp_path


def test_the_cache_folder_is_told_where_nothing_is_installed(tmp_path: Path) -> None:
    asked = subprocess.run(
        [sys.executable, "-I", "-S", ROOT / "cli" / "localkafka" / "cache.py"],
        env={"HEADRACE_CACHE": str(tmp_path)},
        capture_output=True,
        check=True,
        text=True,
    )
    assert asked.stdout == str(tmp_path)


def test_kafka_home_is_used_instead_of_the_locked_jars(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAFKA_HOME", str(tmp_path))
    with pytest.raises(LocalKafkaError, match=r"libs/\*\.jar"):
        find_distribution(Silent())
    (tmp_path / "libs").mkdir()
    (tmp_path / "libs" / "kafka.jar").touch()
    assert find_distribution(Silent()).jars == (tmp_path / "libs" / "kafka.jar",)


async def test_records_survive_a_stop_and_a_crash(tmp_path: Path) -> None:
    folder = tmp_path / "a folder, with a comma"
    async with LocalKafka(folder) as kafka:
        admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap)
        await admin.start()
        await admin.create_topics([NewTopic("kept", num_partitions=1, replication_factor=1)])
        await admin.close()
        await _produce(kafka.bootstrap, b"before the stop")
    async with LocalKafka(folder) as kafka:
        await _produce(kafka.bootstrap, b"before the crash")
        await kafka.node.kill()
        await kafka.node.start()
        assert await _values(kafka.bootstrap, 2) == [b"before the stop", b"before the crash"]


async def test_a_second_kafka_on_the_same_folder_is_refused(
    kafka: LocalKafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("headrace.cli.localkafka.node.FOLDER_LIMIT_S", 0.2)
    with pytest.raises(FolderInUse):
        async with LocalKafka(kafka.node.log.parent):
            pass


async def test_the_jvm_ends_when_its_parent_is_killed(tmp_path: Path) -> None:
    script = (
        "import asyncio, sys, pathlib\n"
        "from headrace.cli.localkafka import LocalKafka\n"
        "async def main():\n"
        "    async with LocalKafka(pathlib.Path(sys.argv[1])) as kafka:\n"
        "        print(kafka.node.pid, flush=True)\n"
        "        await asyncio.Event().wait()\n"
        "asyncio.run(main())\n"
    )
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, str(tmp_path), stdout=subprocess.PIPE
    )
    assert parent.stdout is not None
    jvm = int(await parent.stdout.readline())
    parent.kill()
    await parent.communicate()
    await eventually(lambda: not _runs(jvm))


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def _produce(bootstrap: str, value: bytes) -> None:
    async with AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all") as producer:
        await producer.send_and_wait("kept", value)


async def _values(bootstrap: str, count: int) -> list[bytes | None]:
    consumer = AIOKafkaConsumer("kept", bootstrap_servers=bootstrap, auto_offset_reset="earliest")
    async with consumer:
        return [(await consumer.getone()).value for _ in range(count)]


async def test_a_cluster_id_may_begin_with_a_dash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dashed = uuid.UUID(bytes=b"\xf8" * 16)
    monkeypatch.setattr("headrace.cli.localkafka.node.uuid.uuid4", lambda: dashed)
    async with LocalKafka(tmp_path / "kafka"):
        (written,) = (tmp_path / "kafka").rglob("meta.properties")
        assert "cluster.id=-Pj4" in written.read_text()
