"""The generator against the small upstream, as real processes."""

import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from benchmarks.harness.arena import Upstreams, listens
from benchmarks.harness.windows import GENERATOR, ROOT, run_window
from benchmarks.load.jobs import ClosedJob, OpenJob, StreamsJob, Target
from headrace.cli.lifeline import Lifeline
from headrace.cli.localkafka import free_ports


@pytest.fixture
async def upstreams(tmp_path: Path) -> AsyncIterator[Upstreams]:
    """One process for both kinds of answers: 20 tokens a stream at 50 a second."""
    (port,) = free_ports(1)
    command = [sys.executable, "-m", "benchmarks.upstream.server", str(port), "50", "20"]
    async with Lifeline() as lifeline:
        await lifeline.spawn(command, log=tmp_path / "upstream.log", cwd=ROOT)
        await listens(port)
        yield Upstreams(port, port, "test")


async def test_a_closed_loop_answers_all_and_sees_its_own_cpu(upstreams: Upstreams) -> None:
    window = await run_window(ClosedJob(upstreams.target(stream=False), 4, 0.1, 0.3), {})
    assert window.valid
    assert window.rate > 100
    assert window.outcome.latency_ms is not None
    assert window.outcome.latency_ms.count == window.outcome.completed
    assert GENERATOR in window.cpu_s


async def test_an_open_loop_sends_what_is_due(upstreams: Upstreams) -> None:
    window = await run_window(OpenJob(upstreams.target(stream=False), 300, 0.1, 0.5, seed=3), {})
    assert window.valid
    assert 90 <= window.outcome.completed <= 220


async def test_streams_carry_all_their_tokens(upstreams: Upstreams) -> None:
    window = await run_window(StreamsJob(upstreams.target(stream=True), 5, 20, 0.4, 0.8), {})
    assert window.valid
    assert window.outcome.tokens > 100
    assert window.outcome.gaps_ms is not None
    assert window.outcome.gaps_ms.p50 == pytest.approx(20, abs=10)


async def test_a_stream_with_missing_tokens_makes_its_window_invalid(upstreams: Upstreams) -> None:
    window = await run_window(StreamsJob(upstreams.target(stream=True), 2, 21, 0.4, 0.5), {})
    assert not window.valid
    assert window.outcome.first_failure == "a stream of 20 tokens, [DONE]: True"


async def test_a_refused_request_makes_its_window_invalid(upstreams: Upstreams) -> None:
    target = upstreams.target(stream=False)
    broken = Target(target.port, "/ no path", target.body)
    window = await run_window(ClosedJob(broken, 1, 0, 0.2), {})
    assert not window.valid
    assert window.outcome.first_failure == "the connection broke"
