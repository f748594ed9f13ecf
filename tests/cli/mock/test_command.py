"""`headrace mock` as a process, on its own event loop."""

import asyncio
import contextlib
import json
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import typer
from typer.testing import CliRunner

from headrace.cli.mock.command import mock, overlay, parse_listen
from headrace.cli.mock.config import MockConfig, load_config
from headrace.cli.mock.log import read_log
from support.eventually import eventually

RUN = "import typer; from headrace.cli.mock.command import mock; typer.run(mock)"
BODY = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}


@dataclass
class Running:
    """A mock in a process of its own."""

    url: str
    process: asyncio.subprocess.Process


@contextlib.asynccontextmanager
async def running(*arguments: str) -> AsyncIterator[Running]:
    """Start the command on a free port; kill it at the end if it still runs."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", RUN, "--listen", "127.0.0.1:0", *arguments,
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        line = (await asyncio.wait_for(process.stdout.readline(), 60)).decode()
        yield Running(line.split("listening on ")[1].split(" ")[0], process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


def app() -> typer.Typer:
    """The command alone."""
    alone = typer.Typer()
    alone.command()(mock)
    return alone


async def test_a_kill_loses_no_call_that_was_received(tmp_path: Path) -> None:
    log = tmp_path / "calls.jsonl"
    async with running("--log", str(log)) as upstream, httpx.AsyncClient() as client:
        url = f"{upstream.url}/v1/chat/completions"
        await client.post(url, json=BODY)
        stalled = client.post(url, json=BODY, headers={"x-mock-script": "fault=stall"})
        waiting = asyncio.create_task(stalled)
        await eventually(lambda: len(read_log(log)) == 2)
        upstream.process.kill()
        with pytest.raises(httpx.TransportError):
            await waiting
    first, second = read_log(log)
    assert first.finished is not None
    assert (second.received.attempt, second.finished) == (2, None)


async def test_sigterm_ends_it_and_the_log(tmp_path: Path) -> None:
    log = tmp_path / "calls.jsonl"
    async with running("--log", str(log)) as upstream, httpx.AsyncClient() as client:
        url = f"{upstream.url}/v1/chat/completions"
        stalled = client.post(url, json=BODY, headers={"x-mock-script": "fault=stall"})
        waiting = asyncio.create_task(stalled)
        await eventually(lambda: read_log(log))
        upstream.process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(upstream.process.wait(), 60) == 0
        with pytest.raises(httpx.TransportError):
            await waiting
    (call,) = read_log(log)
    assert call.finished is not None
    assert call.finished.outcome == "stopped"


@pytest.mark.parametrize("script", ["fault=reset", "fault=cut"])
async def test_its_own_event_loop_resets_connections_too(script: str) -> None:
    async with running() as upstream, httpx.AsyncClient() as client:
        with pytest.raises(httpx.ReadError):
            await client.post(
                f"{upstream.url}/v1/chat/completions",
                json={**BODY, "stream": True},
                headers={"x-mock-script": script},
            )


async def test_options_win_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "mock.yaml"
    file.write_text("script: {tokens: 3, status: 500}\n")
    options = ("--config", str(file), "--script", "status=200")
    async with running(*options) as upstream, httpx.AsyncClient() as client:
        answer = await client.post(f"{upstream.url}/v1/chat/completions", json=BODY)
    assert json.loads(answer.content)["usage"]["completion_tokens"] == 3


def test_the_file_may_script_models(tmp_path: Path) -> None:
    file = tmp_path / "mock.yaml"
    file.write_text(
        "seed: 7\nscript: {latency: 5, rate_5xx: 0.1}\nmodels: {gpt: 'tps=5', big: {tokens: 9}}\n"
    )
    config = load_config(file)
    assert config.script == {"latency_ms": "5", "rate_5xx": "0.1"}
    assert config.models == {"gpt": {"tokens_per_s": "5"}, "big": {"tokens": "9"}}


@pytest.mark.parametrize(
    "text", ["sed: 7\n", "script: {tokns: 1}\n", "models: {m: {status: 1}}\n", "- a\n", "{"]
)
def test_a_wrong_file_is_refused_with_exit_code_2(tmp_path: Path, text: str) -> None:
    file = tmp_path / "mock.yaml"
    file.write_text(text)
    refused = CliRunner().invoke(app(), ["--config", str(file)])
    assert refused.exit_code == 2
    assert "wrong configuration" in refused.output


@pytest.mark.parametrize("listen", ["8080", "host:", ":1", "host:port"])
def test_a_wrong_address_is_refused_with_exit_code_2(listen: str) -> None:
    assert CliRunner().invoke(app(), ["--listen", listen]).exit_code == 2


def test_an_address_may_be_ipv6() -> None:
    assert parse_listen("[::1]:80") == ("::1", 80)


def test_an_overlay_keeps_what_it_does_not_name() -> None:
    config = MockConfig(seed=3, script={"tokens": "5"})
    laid = overlay(config, {"latency_ms": "9"}, None, Path("calls.jsonl"))
    assert (laid.seed, laid.script) == (3, {"tokens": "5", "latency_ms": "9"})
    assert laid.log == Path("calls.jsonl")
