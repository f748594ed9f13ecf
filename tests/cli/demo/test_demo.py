"""The whole demo as a user runs it, small: real Kafka, real processes, a real SIGKILL."""

import asyncio
import os
import re
import signal
import sys
from asyncio.subprocess import PIPE, STDOUT, Process
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest

pytestmark = pytest.mark.integration

COMMAND = (sys.executable, "-m", "headrace.cli.main", "demo", "--requests", "180")
"""Enough for three bursts, so three chances to kill while enough calls are held."""
LAST = re.compile(
    r"demo: sent=180 answered=179 dead_lettered=1 lost=0 doubled=0 "
    r"retried=(\d+) recovered=(\d+) upstream_calls=(\d+) seconds=\d+ "
    r"limit=120 limit_most=(\d+) limit_refused=0 breaker_opened=([1-9]) breaker_closed=([1-9])"
)


@pytest.fixture
async def demo(tmp_path: Path) -> AsyncIterator[Process]:
    """A demo that has just been started, with its data in a folder of the test."""
    environ = {**os.environ, "TMPDIR": str(tmp_path)}
    process = await asyncio.create_subprocess_exec(
        *COMMAND, stdout=PIPE, stderr=STDOUT, env=environ
    )
    yield process
    if process.returncode is None:
        process.kill()
        await process.wait()


async def output(process: Process) -> list[str]:
    assert process.stdout is not None
    return (await process.stdout.read()).decode().splitlines()


async def read_until(process: Process, words: str) -> None:
    assert process.stdout is not None
    async with asyncio.timeout(240):
        while words not in (line := (await process.stdout.readline()).decode()):
            assert line, "it ended before"


async def test_every_request_survives_failures_and_a_kill(demo: Process, tmp_path: Path) -> None:
    told = await output(demo)
    last = LAST.fullmatch(told[-1])
    assert last is not None, "\n".join(told)
    retried, recovered, calls, most, _, _ = map(int, last.groups())
    assert retried > 0
    assert recovered >= 5
    assert calls >= 180 + 2 + recovered
    assert most <= 120
    assert await demo.wait() == 0
    assert list(tmp_path.iterdir()) == []


async def test_an_interrupted_demo_leaves_nothing_behind(demo: Process, tmp_path: Path) -> None:
    await read_until(demo, "are up after")
    children = psutil.Process(demo.pid).children(recursive=True)
    demo.send_signal(signal.SIGINT)
    told = await output(demo)
    assert await demo.wait() == 130, "\n".join(told)
    assert [child for child in children if child.is_running()] == []
    assert list(tmp_path.iterdir()) == []
