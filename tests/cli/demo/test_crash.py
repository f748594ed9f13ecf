"""Which dispatcher is killed, and when."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Self

import pytest

from headrace.cli.demo.crash import (
    CrashMissed,
    in_flight,
    kill_the_busiest,
    streams_may_start_over,
)
from headrace.cli.mock.log import CallLog, Finished, LoggedCall, Outcome, Received

PAGE = """# TYPE headrace_upstream_inflight_requests gauge
headrace_upstream_inflight_requests{deployment="demo-chat"} 9.0
headrace_upstream_inflight_requests{deployment="demo-embed"} 2.0
headrace_waiting_retries 3.0
"""


def stream(received_at: int, status: int | None = None) -> LoggedCall:
    """A stream's call; `status` None while it runs."""
    received = Received(
        seq=1, received_at=received_at, path="", body_sha256="", attempt=1, stream=True
    )
    if status is None:
        return LoggedCall(received)
    end = Finished(seq=1, finished_at=received_at + 1, outcome=Outcome.ANSWERED, status=status)
    return LoggedCall(received, end)


def test_calls_in_flight_are_those_of_all_deployments() -> None:
    assert in_flight(PAGE) == 11


def test_no_call_is_in_flight_where_the_page_names_none() -> None:
    assert in_flight("") == 0


@pytest.mark.parametrize(
    ("call", "may"),
    [
        (stream(1_000), True),
        (stream(600), False),
        (stream(900, 200), False),
        (stream(900, 503), True),
        (stream(100, 200), True),
    ],
    ids=["waits for its first token", "is about to begin", "is over", "failed", "of before"],
)
def test_a_stream_may_start_over_until_its_first_byte(call: LoggedCall, may: bool) -> None:
    assert streams_may_start_over([call], since=500, now=1_050, first_byte_ms=500) is may


def test_a_plain_call_never_hinders_the_kill() -> None:
    call = LoggedCall(Received(seq=1, received_at=600, path="", body_sha256="", attempt=1))
    assert streams_may_start_over([call], since=500, now=1_050, first_byte_ms=500)


class Victim:
    """A process that notes its end."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.killed = False

    def kill(self) -> None:
        self.killed = True

    async def wait(self) -> int:
        return -9


class Page:
    """A dispatcher's metrics port that gives one page, whatever is asked."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._stack = AsyncExitStack()
        self.url = ""

    async def __aenter__(self) -> Self:
        server = await asyncio.start_server(self._answer, "127.0.0.1", 0)
        await self._stack.enter_async_context(server)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/metrics"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n" + self._text.encode())
        await writer.drain()
        writer.close()
        await writer.wait_closed()


def log_with(path: Path, running: int, *, stream: bool = False) -> Path:
    """A mock's log with so many calls that have not ended."""
    with CallLog(path, running) as log:
        for seq in range(1, running + 1):
            log.receive(
                Received(seq=seq, received_at=1, path="", body_sha256="", attempt=1, stream=stream)
            )
    return path


async def test_the_dispatcher_with_the_most_calls_is_killed(tmp_path: Path) -> None:
    log = log_with(tmp_path / "log", running=11)
    async with Page("") as idle, Page(PAGE) as busy:
        victims = {idle.url: Victim("a"), busy.url: Victim("b")}
        name, kill = await kill_the_busiest(
            victims, log, least=5, first_byte_ms=500, now_ms=lambda: 7, until_ms=8
        )
    assert (name, kill.before, kill.after) == ("b", 7, 7)
    assert [victim.killed for victim in victims.values()] == [False, True]


async def test_a_metric_that_is_older_than_the_upstreams_log_is_not_believed(
    tmp_path: Path,
) -> None:
    log = log_with(tmp_path / "log", running=10)
    clock = iter(range(100))
    async with Page(PAGE) as page:
        victim = Victim("a")
        with pytest.raises(CrashMissed):
            await kill_the_busiest(
                {page.url: victim},
                log,
                least=5,
                first_byte_ms=500,
                now_ms=lambda: next(clock),
                until_ms=3,
            )
    assert not victim.killed


async def test_a_stream_that_has_begun_ends_the_chance_at_once(tmp_path: Path) -> None:
    log = log_with(tmp_path / "log", running=11, stream=True)
    async with Page(PAGE) as page:
        victim = Victim("a")
        with pytest.raises(CrashMissed):
            await kill_the_busiest(
                {page.url: victim},
                log,
                least=5,
                first_byte_ms=500,
                now_ms=iter((0, 1, 700)).__next__,
                until_ms=1_000,
            )
    assert not victim.killed


async def test_a_crash_that_would_hit_too_few_calls_is_missed_loudly(tmp_path: Path) -> None:
    victim = Victim("a")
    clock = iter(range(100))
    async with Page(PAGE) as page:
        with pytest.raises(CrashMissed, match="while it held 9 calls"):
            await kill_the_busiest(
                {page.url: victim},
                tmp_path / "log",
                least=9,
                first_byte_ms=500,
                now_ms=lambda: next(clock),
                until_ms=3,
            )
    assert not victim.killed
