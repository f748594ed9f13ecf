"""The crash: which dispatcher is killed, and when.

A stream that has begun cannot be begun again (no mixing of attempts), so a crash would end it with
an explicit error event. To keep the outcome exact, the kill comes while every running stream still
waits for its first token; the upstream's own log tells, and that the dead process held enough calls
is counted there afterwards.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from headrace.cli.demo.evidence import Kill
from headrace.cli.mock.log import LoggedCall, read_log

IN_FLIGHT = "headrace_upstream_inflight_requests{"
MARGIN = 3
"""More calls than needed: the metric is up to a quarter of a second old."""
MARGIN_MS = 60
"""A first token so near is not risked."""
PAUSE_S = 0.05
PAGE_LIMIT_S = 2.0


class CrashMissed(Exception):
    """No dispatcher held enough calls at a moment at which it could be killed."""


class Victim(Protocol):
    """A dispatcher's process."""

    name: str

    def kill(self) -> None:
        """SIGKILL."""

    async def wait(self) -> int:
        """Wait for its end."""
        ...


async def kill_the_busiest(
    victims: Mapping[str, Victim],
    log: Path,
    *,
    least: int,
    first_byte_ms: int,
    now_ms: Callable[[], int],
    until_ms: int,
) -> tuple[str, Kill]:
    """Kill one of `victims` (metrics URL -> process) that holds `least` calls; its name and when.

    Streams sent before now have ended. Raises CrashMissed once a further one has begun, or at
    `until_ms`.
    """
    since = now_ms()
    held: dict[str, int] = {}
    while now_ms() < until_ms:
        held = await _held(list(victims))
        busiest = max(held, key=lambda url: held[url])
        calls = read_log(log)
        if not streams_may_start_over(calls, since, now_ms(), first_byte_ms):
            break
        if running(calls) >= held[busiest] >= least + MARGIN:
            return await _kill(victims[busiest], now_ms)
        await asyncio.sleep(PAUSE_S)
    counts = ", ".join(str(count) for count in held.values())
    raise CrashMissed(f"no dispatcher could be killed while it held {least} calls ({counts})")


def running(calls: Iterable[LoggedCall]) -> int:
    """Calls that have not ended, all dispatchers together."""
    return sum(call.finished is None for call in calls)


def streams_may_start_over(
    calls: Iterable[LoggedCall], since: int, now: int, first_byte_ms: int
) -> bool:
    """Whether no stream called after `since` has had, or is about to have, its first byte."""
    streams = (c for c in calls if c.received.stream and c.received.received_at >= since)
    return all(_may_start_over(call, now, first_byte_ms) for call in streams)


def _may_start_over(call: LoggedCall, now: int, first_byte_ms: int) -> bool:
    if call.finished is not None:
        return call.finished.status != 200
    return now + MARGIN_MS < call.received.received_at + first_byte_ms


async def _kill(victim: Victim, now_ms: Callable[[], int]) -> tuple[str, Kill]:
    before = now_ms()
    victim.kill()
    await victim.wait()
    return victim.name, Kill(before, now_ms())


async def _held(urls: Sequence[str]) -> dict[str, int]:
    pages = await asyncio.gather(*(_page(url) for url in urls))
    return {url: in_flight(page) for url, page in zip(urls, pages, strict=True)}


async def _page(url: str) -> str:
    """A metrics page. The process that asks also sends the burst: an HTTP library costs too much."""
    parts = urlsplit(url)
    async with asyncio.timeout(PAGE_LIMIT_S):
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        try:
            head = f"GET {parts.path} HTTP/1.1\r\nhost: {parts.netloc}\r\nconnection: close"
            writer.write(f"{head}\r\n\r\n".encode())
            return (await reader.read()).decode()
        finally:
            writer.close()


def in_flight(metrics: str) -> int:
    """Upstream calls in flight by a dispatcher's metrics page, all deployments together."""
    lines = (line for line in metrics.splitlines() if line.startswith(IN_FLIGHT))
    return round(sum(float(line.rpartition(" ")[2]) for line in lines))
