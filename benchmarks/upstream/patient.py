"""An upstream that turns every request away once and says how long to wait; it notes who is late.

The body tells the wait (`"user":"11000"`, ms). It runs inside the benchmark, so that both ends of a
wait are read from one clock.
"""

import asyncio
import re
import time
from typing import cast

import httptools

from benchmarks.upstream.answers import PLAIN

WAIT = re.compile(rb'"user":"(\d+)"')
_REFUSAL = (
    b"HTTP/1.1 429 Too Many Requests\r\ncontent-type: application/json\r\n"
    b"retry-after-ms: %d\r\ncontent-length: 2\r\n\r\n{}"
)


class Patience:
    """What was asked of whom, and how it was kept. Times are milliseconds of the monotonic clock."""

    def __init__(self) -> None:
        self.connections = 0
        """Open now."""
        self.turned_away = 0
        self.late_ms: dict[int, list[float]] = {}
        """Wait asked for -> how late each second call was."""
        self._due_ms: dict[bytes, float] = {}

    def answer(self, request_id: bytes, wait_ms: int) -> bytes:
        """The whole answer to a call."""
        now_ms = time.monotonic_ns() / 1e6
        if not wait_ms:
            return PLAIN
        due_ms = self._due_ms.get(request_id)
        if due_ms is not None:
            self.late_ms.setdefault(wait_ms, []).append(now_ms - due_ms)
            return PLAIN
        self._due_ms[request_id] = now_ms + wait_ms
        self.turned_away += 1
        return _REFUSAL % wait_ms

    async def serve(self, port: int) -> asyncio.Server:
        """Listen on the loopback interface."""
        loop = asyncio.get_running_loop()
        return await loop.create_server(lambda: _Connection(self), "127.0.0.1", port, backlog=1024)


class _Connection(asyncio.Protocol):
    """HTTP/1.1 without pipelining."""

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self._id = self._body = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)
        self._parser = httptools.HttpRequestParser(self)
        self._patience.connections += 1

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio passes it by name
        self._patience.connections -= 1

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_begin(self) -> None:
        self._id = self._body = b""

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == b"x-request-id":
            self._id = value

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        asked = WAIT.search(self._body)
        wait_ms = int(asked[1]) if asked else 0
        self._transport.write(self._patience.answer(self._id, wait_ms))
