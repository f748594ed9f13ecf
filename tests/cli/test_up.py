"""`headrace up`: what is decided, and one stack of real processes."""

import asyncio
import os
import shlex
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from headrace.cli.localkafka import FolderInUse, LocalKafka, free_ports
from headrace.cli.progress import Silent
from headrace.cli.up import DataFolderInUse, Stack, StartFailed
from headrace.cli.up.layout import api_line, configuration, curl_line, layout_of, names_of_ports
from headrace.cli.up.supervisor import keep_running, restart_pause_s
from support.eventually import eventually

BODY = {"model": "small", "messages": [{"role": "user", "content": "Hello"}]}
QUICK_MOCK = ("--latency-ms", "1")


def test_the_pause_before_a_restart_grows_and_is_bounded() -> None:
    pauses = [restart_pause_s([0.0] * deaths, now=1.0) for deaths in range(1, 8)]
    assert pauses == [0.5, 1, 2, 4, 8, 10, 10]


def test_deaths_of_long_ago_do_not_slow_a_restart() -> None:
    assert restart_pause_s([0.0, 1.0, 100.0], now=100.0) == 0.5


def test_an_overlay_wins_key_by_key() -> None:
    names = names_of_ports(1, 1, local_model=True)
    layout = layout_of("127.0.0.1:1", "index", dict(zip(names, range(2, 9), strict=False)))
    tree = configuration(layout, {"kafka": {"topic_prefix": "x."}, "auth": {"mode": "open"}})
    kafka = tree["kafka"]
    assert isinstance(kafka, dict)
    assert (kafka["topic_prefix"], kafka["replication_factor"]) == ("x.", 1)


def test_the_curl_line_asks_for_a_key_only_where_one_is_needed() -> None:
    assert "Bearer" in curl_line("http://127.0.0.1:1", "small", with_key=True)
    assert "Bearer" not in curl_line("http://127.0.0.1:1", "small", with_key=False)


def test_any_key_will_do_only_where_none_is_needed() -> None:
    assert "any key" in api_line("http://127.0.0.1:1", with_key=False)
    assert "any key" not in api_line("http://127.0.0.1:1", with_key=True)


class Mortal:
    """A process that ends whenever it is told to."""

    def __init__(self) -> None:
        self.ends: asyncio.Queue[int] = asyncio.Queue(1)
        self.starts = 0

    async def wait(self) -> int:
        return await self.ends.get()

    async def start(self) -> None:
        self.starts += 1


async def test_a_dead_process_is_started_again_after_its_pause() -> None:
    process = Mortal()
    pauses: list[float] = []

    async def note(seconds: float) -> None:
        pauses.append(seconds)

    task = asyncio.create_task(keep_running("x", process, Silent(), clock=lambda: 0.0, sleep=note))
    for _ in range(3):
        await process.ends.put(-9)
    await eventually(lambda: process.starts == 3)
    task.cancel()
    assert pauses == [0.5, 1, 2]


class Failing(Mortal):
    """Its starts fail in each way that is known, one after the other."""

    def __init__(self) -> None:
        super().__init__()
        self._failures: list[Exception] = [
            StartFailed("no port"),
            FolderInUse("in use"),
            TimeoutError(),
            OSError("no memory"),
        ]

    async def start(self) -> None:
        if self._failures:
            raise self._failures.pop(0)
        await super().start()


class Said(Silent):
    """Keeps what was said."""

    def __init__(self) -> None:
        self.words: list[str] = []

    def say(self, line: str) -> None:
        self.words.append(line)


async def test_a_start_that_fails_is_told_and_tried_again() -> None:
    """Nobody watched the process any more, and nobody said so."""
    process, said, pauses = Failing(), Said(), list[float]()

    async def note(seconds: float) -> None:
        pauses.append(seconds)

    task = asyncio.create_task(keep_running("x", process, said, clock=lambda: 0.0, sleep=note))
    for starts in (1, 2):
        await process.ends.put(1)
        await eventually(lambda starts=starts: process.starts == starts)
    task.cancel()
    assert pauses == [0.5, 1, 2, 4, 8, 10]
    told = [words.partition(";")[0] for words in said.words]
    assert told == [
        "x ended (exit code 1)",
        "x could not be started: no port",
        "x could not be started: in use",
        "x could not be started: TimeoutError",
        "x could not be started: no memory",
        "x ended (exit code 1)",
    ]


async def test_a_second_stack_on_the_same_folder_is_refused(
    kafka: LocalKafka, topic_prefix: str, tmp_path: Path
) -> None:
    overlay = {"kafka": {"topic_prefix": topic_prefix}}
    async with Stack(tmp_path, dispatchers=1, bootstrap=kafka.bootstrap, overlay=overlay):
        with pytest.raises(DataFolderInUse):
            async with Stack(tmp_path, bootstrap=kafka.bootstrap):
                pass


async def test_a_role_that_cannot_start_is_told_with_its_log(
    kafka: LocalKafka, topic_prefix: str, tmp_path: Path
) -> None:
    overlay = {"kafka": {"topic_prefix": topic_prefix}}
    wrong = ("--latency-ms", "-1")
    stack = Stack(tmp_path, bootstrap=kafka.bootstrap, overlay=overlay, mock_arguments=wrong)
    with pytest.raises(StartFailed, match="mock ended at its start"):
        async with stack:
            pass
    assert not stack.ingress.running


async def test_a_request_is_answered_across_a_restart_of_the_stack(tmp_path: Path) -> None:
    for _ in range(2):
        stack = Stack(tmp_path, dispatchers=2, mock_arguments=QUICK_MOCK)
        async with stack, httpx.AsyncClient(base_url=stack.ingress_url, timeout=60) as client:
            answer = await client.post("/v1/chat/completions", json=BODY)
            assert answer.status_code == 200, answer.text
        assert not stack.ingress.running


async def test_a_killed_dispatcher_is_started_again(
    kafka: LocalKafka, topic_prefix: str, tmp_path: Path
) -> None:
    overlay = {"kafka": {"topic_prefix": topic_prefix}}
    stack = Stack(
        tmp_path, dispatchers=1, bootstrap=kafka.bootstrap, overlay=overlay, supervise=True
    )
    async with stack:
        (dispatcher,) = stack.dispatchers
        before = dispatcher.pid
        dispatcher.kill()
        await eventually(lambda: dispatcher.pid != before and dispatcher.running)
        await stack.dispatchers_ready()


async def test_the_command_prints_a_curl_line_that_works_and_stops_on_a_signal(
    kafka: LocalKafka, topic_prefix: str, tmp_path: Path
) -> None:
    (port,) = free_ports(1)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "headrace.cli.main", "up", "--data", str(tmp_path)),
        *("--bootstrap", kafka.bootstrap, "--port", str(port), "--dispatchers", "1"),
        stdout=subprocess.PIPE,
        env={**os.environ, "COLUMNS": "40", "HEADRACE__KAFKA__TOPIC_PREFIX": topic_prefix},
    )
    assert process.stdout is not None
    printed = ""
    while "Ctrl-C" not in printed:
        line = await process.stdout.readline()
        assert line, printed
        printed += line.decode()
    (curl,) = [line for line in printed.splitlines() if line.startswith("  curl ")]
    _, url, _, header, _, body = shlex.split(curl)
    name, _, value = header.partition(": ")
    async with httpx.AsyncClient(timeout=60) as client:
        answer = await client.post(url, content=body, headers={name: value})
    assert answer.status_code == 200, answer.text
    process.terminate()
    rest, _ = await process.communicate()
    assert process.returncode == 0
    assert b"records are kept" in rest
