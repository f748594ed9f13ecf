"""The server side of one HTTP connection: uvicorn's protocol with three things added.

- Who waits on the connection hears of its end at once (`party.gone`). ASGI can only say so to
  somebody who awaits `receive`, which would cost every request a task of its own.
- A request that is no HTTP at all is refused in the API's error shape.
- A connection whose client does not read can be cut.
"""

import asyncio
from typing import Protocol

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from headrace.schemas.errors import Code, error_body

STATE = "connection"
"""Key of the `Connection` in `scope["state"]`."""

_UNREADABLE = error_body(
    Code.INVALID_HEADER, "The request is not valid HTTP, or a header has control characters."
)
_REFUSAL = (
    b"HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\nx-should-retry: false\r\n"
    b"connection: close\r\ncontent-length: %d\r\n\r\n" % len(_UNREADABLE)
) + _UNREADABLE


class Client(Protocol):
    """Who is told that the client went away."""

    def gone(self) -> None:
        """The connection is lost."""
        ...


class Connection(HttpToolsProtocol):
    """One connection. At most one request of it is served at a time; `client` is its party."""

    client_party: Client | None = None

    def on_message_begin(self) -> None:
        """A request begins: let its handler find this object."""
        super().on_message_begin()
        self.scope["state"][STATE] = self

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is closed, by whichever side."""
        party = self.client_party
        super().connection_lost(exc)
        if party is not None:
            party.gone()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is not HTTP. `msg` is uvicorn's; ours has the API's shape."""
        self.transport.write(_REFUSAL)
        self.transport.close()

    def cut(self) -> None:
        """Drop the connection and what was written to it."""
        self.transport.abort()


class Listener:
    """The party of one request: turns the board's and the connection's calls into a wake-up."""

    __slots__ = ("_connection", "_future", "_loop", "lost")

    def __init__(self, connection: Connection, loop: asyncio.AbstractEventLoop) -> None:
        self._connection = connection
        self._loop = loop
        self._future: asyncio.Future[None] | None = None
        self.lost = False
        connection.client_party = self

    def wake(self) -> None:
        """Something changed."""
        future = self._future
        if future is not None and not future.done():
            future.set_result(None)

    def gone(self) -> None:
        """The client went away."""
        self.lost = True
        self.wake()

    def cut(self) -> None:
        """Drop the connection."""
        self._connection.cut()

    async def woken(self) -> None:
        """Wait for the next change. Look at the state first: a change before this call is not told again."""
        self._future = self._loop.create_future()
        await self._future

    def leave(self) -> None:
        """The request is over; the connection may serve another."""
        self._connection.client_party = None
