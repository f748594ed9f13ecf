"""A TCP proxy that treats connections badly: before Kafka's brokers, and before an upstream.

How it works: each direction of each connection has a task that reads pieces and one that writes
them, with a short queue between, so that latency delays bytes without slowing their flow. What is
done to them is a `Way`, one for each direction; `treat` replaces them at any moment, for open
connections too. `reset`, `strand` and `refuse` act on whole connections.
"""

import asyncio
import contextlib
import socket
import struct
from dataclasses import dataclass
from types import TracebackType
from typing import Self

PIECE = 65_536
QUEUED_PIECES = 64
RESET = struct.pack("ii", 1, 0)
"""SO_LINGER without time: closing sends RST."""


@dataclass(frozen=True)
class Way:
    """What happens to one direction's bytes; counts are per connection, from its first byte."""

    latency_s: float = 0.0
    bytes_per_s: float = 0.0
    """0: as fast as they come."""
    slice_bytes: int = PIECE
    """Written in pieces of at most this size, each a packet of its own."""
    black_hole: bool = False
    """Nothing arrives, not even an end. What was sent arrives after all when this is over, as TCP
    repeats what was lost."""
    reset_after: int | None = None
    """RST to both sides once so many bytes have passed."""
    fin_after: int | None = None
    """The receiver sees a proper end after so many bytes; the rest is thrown away."""

    def room(self, passed: int) -> int:
        """How many more bytes may pass before the connection breaks."""
        bounds = [bound for bound in (self.reset_after, self.fin_after) if bound is not None]
        return max(0, min(bounds) - passed) if bounds else PIECE


OPEN = Way()
BLACK_HOLE = Way(black_hole=True)


class Proxy:
    """`async with Proxy(server_port) as proxy:` listens on 127.0.0.1:`proxy.port`."""

    def __init__(self, target: int, *, port: int = 0) -> None:
        self.port = port
        self.target = target
        self.up = OPEN
        """Client to server."""
        self.down = OPEN
        self.accepted = 0
        self.changed = asyncio.Event()
        self._refuses = False
        self._links: set[_Link] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        self.port = int(self._server.sockets[0].getsockname()[1])
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def open_connections(self) -> int:
        """How many are held now, stranded ones included."""
        return len(self._links)

    def treat(self, *, up: Way = OPEN, down: Way = OPEN) -> None:
        """From now on; without arguments it is over."""
        self.up, self.down = up, down
        self.changed.set()
        self.changed = asyncio.Event()

    def refuse(self, on: bool = True) -> None:
        """New connections are reset."""
        self._refuses = on

    def reset(self) -> None:
        """RST to both sides of every open connection."""
        for link in tuple(self._links):
            link.reset()

    def strand(self) -> None:
        """Half-open: open connections lose their server, which sees an end; clients are not told.

        New connections work.
        """
        for link in tuple(self._links):
            link.strand()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        link = _Link(self, writer)
        self._links.add(link)
        try:
            if self._refuses:
                link.reset()
            else:
                await link.run(reader)
        except OSError:
            link.reset()  # the server is not there
        finally:
            link.close()
            self._links.discard(link)


class _Link:
    """One connection from a client, and ours to the server."""

    def __init__(self, proxy: Proxy, client: asyncio.StreamWriter) -> None:
        self._proxy = proxy
        self._client = client
        self._server: asyncio.StreamWriter | None = None
        self._stranded = False

    async def run(self, client: asyncio.StreamReader) -> None:
        """Pass on until both sides have ended, or one has broken."""
        server, self._server = await asyncio.open_connection("127.0.0.1", self._proxy.target)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pass(client, self._server, up=True))
                group.create_task(self._pass(server, self._client, up=False))
        except* ConnectionError:
            self.reset()

    def reset(self) -> None:
        """RST to both sides."""
        for writer in self._writers():
            with contextlib.suppress(OSError):
                sock = writer.get_extra_info("socket")
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            writer.transport.abort()

    def strand(self) -> None:
        """See `Proxy.strand`."""
        self._stranded = True
        if self._server is not None:
            self._server.close()

    def close(self) -> None:
        """Both sockets; closing twice is fine."""
        for writer in self._writers():
            writer.close()

    def _writers(self) -> list[asyncio.StreamWriter]:
        return [one for one in (self._client, self._server) if one is not None]

    async def _pass(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, up: bool
    ) -> None:
        pieces: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(QUEUED_PIECES)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._read(reader, pieces))
            group.create_task(self._write(pieces, writer, up=up))

    async def _read(
        self, reader: asyncio.StreamReader, pieces: asyncio.Queue[tuple[float, bytes]]
    ) -> None:
        """Until the end, which is an empty piece."""
        now = asyncio.get_running_loop().time
        piece = b"first"
        while piece:
            piece = await reader.read(PIECE)
            await pieces.put((now(), piece))

    async def _write(
        self,
        pieces: asyncio.Queue[tuple[float, bytes]],
        writer: asyncio.StreamWriter,
        *,
        up: bool,
    ) -> None:
        now = asyncio.get_running_loop().time
        passed = 0
        piece = b"first"
        while piece:
            came_at, piece = await pieces.get()
            left = piece
            way = await self._through(up=up)
            await asyncio.sleep(came_at + way.latency_s - now())
            while left and not self._stranded:
                way = await self._through(up=up)
                part = left[: min(way.slice_bytes, way.room(passed))]
                passed += len(part)
                left = left[len(part) :] if way.room(passed) else b""
                if part:  # beyond `fin_after` nothing can be written, not even nothing
                    await self._put(part, writer, way)
                if way.reset_after is not None and passed >= way.reset_after:
                    raise ConnectionResetError
                if way.fin_after == passed and part:
                    writer.write_eof()
            if not piece and not self._stranded and not writer.is_closing():
                _end(writer)

    async def _put(self, part: bytes, writer: asyncio.StreamWriter, way: Way) -> None:
        writer.write(part)
        await writer.drain()
        if way.bytes_per_s:
            await asyncio.sleep(len(part) / way.bytes_per_s)

    async def _through(self, *, up: bool) -> Way:
        """How bytes pass now; waits while nothing does."""
        while True:
            changed = self._proxy.changed
            way = self._proxy.up if up else self._proxy.down
            if self._stranded or not way.black_hole:
                return way
            await changed.wait()


def _end(writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError, RuntimeError):  # it was ended before, by `fin_after`
        writer.write_eof()
