"""An upstream whose every answer takes as long as it is told, or is an error; it counts its calls.

It runs inside the benchmark, and costs less than a tenth of a millisecond a call.
"""

import asyncio
import time
from typing import cast

import httptools

from benchmarks.upstream.answers import PLAIN

FAILURE = (
    b"HTTP/1.1 500 Internal Server Error\r\ncontent-type: application/json\r\n"
    b"content-length: 2\r\n\r\n{}"
)


class Slow:
    """Answers after `latency_s`; while it is `failing`, at once with 500."""

    def __init__(self, latency_s: float) -> None:
        self.latency_s = latency_s
        self.running = 0
        self.answered = 0
        self.failing = False
        self.failed_ms: list[int] = []
        """When calls came that failed (epoch ms)."""
        self.passed_ms: list[int] = []
        """When the others came."""

    async def serve(self, port: int) -> asyncio.Server:
        """Listen on the loopback interface."""
        loop = asyncio.get_running_loop()
        return await loop.create_server(lambda: _Connection(self), "127.0.0.1", port, backlog=1024)


class _Connection(asyncio.Protocol):
    """HTTP/1.1 without pipelining."""

    def __init__(self, slow: Slow) -> None:
        self._slow = slow
        self._answering: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)
        self._parser = httptools.HttpRequestParser(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio passes it by name
        if self._answering is not None:
            self._answering.cancel()
            self._slow.running -= 1

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        slow, now_ms = self._slow, time.time_ns() // 1_000_000
        if slow.failing:
            slow.failed_ms.append(now_ms)
            self._transport.write(FAILURE)
            return
        slow.passed_ms.append(now_ms)
        slow.running += 1
        loop = asyncio.get_running_loop()
        self._answering = loop.call_later(slow.latency_s, self._answer)

    def _answer(self) -> None:
        self._answering = None
        self._slow.running -= 1
        self._slow.answered += 1
        self._transport.write(PLAIN)
