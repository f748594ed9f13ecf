"""HTTP/1.1 on one connection: an asyncio protocol that serves one request after the other.

An own protocol and not ASGI, because the mock must reset a connection, leave a body unfinished,
and see a client's disconnect at once; it also costs less than a framework.
"""

import asyncio
import os
import socket
import struct
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple, cast

from headrace.cli.mock.faults import Ending
from headrace.cli.mock.perform import Wire
from headrace.cli.mock.reading import HttpRequest, RequestReader

MAX_PIPELINED: Final = 16
LINGER_S: Final = 5.0
CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)


class Bounds(NamedTuple):
    """What one connection and all of them may hold."""

    max_body_bytes: int
    max_connections: int


Serve = Callable[[HttpRequest, Wire], Awaitable[None]]


class HttpConnection(asyncio.Protocol):
    """Serves each request in a task, which is cancelled when the client disconnects.

    `connections` holds every open connection, for closing them all.
    """

    def __init__(self, serve: Serve, bounds: Bounds, connections: "set[HttpConnection]") -> None:
        """Serve requests with `serve`; what is above `bounds` is refused."""
        self._serve = serve
        self._max_connections = bounds.max_connections
        self._connections = connections
        self._reader = RequestReader(bounds.max_body_bytes)
        self._waiting: deque[HttpRequest] = deque()
        self._task: asyncio.Task[None] | None = None
        self._writable: asyncio.Future[None] | None = None
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport; above the bound of connections it is closed at once."""
        self._transport = cast("asyncio.Transport", transport)
        if len(self._connections) >= self._max_connections:
            self._transport.abort()
        self._connections.add(self)

    def data_received(self, data: bytes) -> None:
        """Read requests and serve them in order; too many at once drop the connection."""
        self._waiting.extend(self._reader.feed(data))
        if self._reader.expects_continue:
            self._transport.write(CONTINUE)
        if len(self._waiting) > MAX_PIPELINED:
            self._transport.abort()
        elif self._task is None:
            self._serve_next()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  asyncio calls it so
        """The client is gone, or the connection was closed: end what runs for it."""
        self._connections.discard(self)
        self._waiting.clear()
        self.resume_writing()
        if self._task is not None:
            self._task.cancel()

    def pause_writing(self) -> None:
        """The socket's queue is full."""
        self._writable = asyncio.get_running_loop().create_future()

    def resume_writing(self) -> None:
        """The socket's queue has room again."""
        writable, self._writable = self._writable, None
        if writable is not None and not writable.done():
            writable.set_result(None)

    def write(self, payload: bytes) -> None:
        """Queue bytes for the socket."""
        self._transport.write(payload)

    async def drain(self) -> None:
        """Wait while too many bytes are queued."""
        if self._writable is not None:
            await self._writable

    async def break_off(self, ending: Ending) -> None:
        """Let the kernel have all bytes, then send RST, or FIN without an end of the body."""
        if ending is Ending.RESET:
            self._transport.set_write_buffer_limits(high=0)
            await self.drain()
            self._arm_reset()
            self._transport.abort()
        else:
            self._transport.close()

    def close(self) -> "asyncio.Task[None] | None":
        """Drop the connection; returns the task that ends with it, for waiting."""
        self._transport.abort()
        return self._task

    def _arm_reset(self) -> None:
        """SO_LINGER of zero on the socket makes its close an RST (uvloop hides the socket)."""
        shown = self._transport.get_extra_info("socket")
        with socket.socket(fileno=os.dup(shown.fileno())) as same:
            same.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)

    def _serve_next(self) -> None:
        if self._waiting and not self._transport.is_closing():
            request = self._waiting.popleft()
            self._task = asyncio.get_running_loop().create_task(self._run(request))

    async def _run(self, request: HttpRequest) -> None:
        try:
            await self._serve(request, self)
        except Exception as broken:  # noqa: BLE001  told to the loop's handler, the call ends
            self._transport.abort()
            asyncio.get_running_loop().call_exception_handler(
                {"message": "a call to the mock failed", "exception": broken}
            )
        self._task = None
        if request.refused:
            self._end_after_refusal()
        elif not request.keep_alive:
            self._transport.close()
        self._serve_next()

    def _end_after_refusal(self) -> None:
        """FIN, then read on for a while: a close with unread bytes would destroy the answer."""
        if not self._transport.is_closing():
            self._transport.write_eof()
            asyncio.get_running_loop().call_later(LINGER_S, self._transport.abort)
