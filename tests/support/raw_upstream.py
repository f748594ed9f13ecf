"""A TCP server that says exactly the bytes a test wants, for answers no real server would give."""

import asyncio
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self

Play = Callable[["Connection"], Awaitable[None]]


class Connection:
    """One accepted connection, its request read unless the test reads for itself."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.head = b""
        self.body = b""
        self.gone = asyncio.Event()
        """Set once the client has closed its side."""

    async def read_request(self) -> None:
        """Read one request with a declared length."""
        self.head = await self._reader.readuntil(b"\r\n\r\n")
        length = next(
            int(line.partition(b":")[2])
            for line in self.head.lower().split(b"\r\n")
            if line.startswith(b"content-length:")
        )
        self.body = await self._reader.readexactly(length)

    async def say(self, *pieces: bytes) -> None:
        """Write each piece, and wait until the socket took it."""
        for piece in pieces:
            self._writer.write(piece)
            await self._writer.drain()

    async def until_gone(self) -> None:
        """Read on until the client closes."""
        while await self._reader.read(65_536):
            pass
        self.gone.set()

    def close(self) -> None:
        """FIN."""
        self._writer.close()

    def reset(self) -> None:
        """Close with unread or unsent bytes thrown away."""
        self._writer.transport.abort()


class RawUpstream:
    """`async with RawUpstream(play) as upstream:`; `play` runs for each request, one a connection.

    With `read=False` the request is not read before `play`.
    """

    def __init__(self, play: Play, *, read: bool = True, requests: int = 1) -> None:
        self._play = play
        self._read = read
        self._requests = requests
        self._tasks: set[asyncio.Task[None]] = set()
        self.connections: list[Connection] = []

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        host, port = self._server.sockets[0].getsockname()[:2]
        self.base_url = f"http://{host}:{port}/v1"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.close()
        for connection in self.connections:
            connection.reset()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        connection = Connection(reader, writer)
        self.connections.append(connection)
        for _ in range(self._requests):
            if self._read:
                try:
                    await connection.read_request()
                except (asyncio.IncompleteReadError, ConnectionError):
                    break
            await self._play(connection)


def plain(body: bytes, *headers: bytes, status: bytes = b"200 OK") -> bytes:
    """A whole answer with its length."""
    lines = (b"HTTP/1.1 " + status, b"content-length: %d" % len(body), *headers)
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def stream_head(*headers: bytes) -> bytes:
    """The head of a chunked event stream."""
    lines = (b"HTTP/1.1 200 OK", b"content-type: text/event-stream", b"transfer-encoding: chunked")
    return b"\r\n".join((*lines, *headers)) + b"\r\n\r\n"


def chunk(data: bytes) -> bytes:
    """One chunk of a chunked body; an empty one ends it."""
    return b"%x\r\n%b\r\n" % (len(data), data)
