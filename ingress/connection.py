"""The server side of one HTTP connection: uvicorn's protocol with six things added.

- Who waits on the connection hears of its end at once (`party.gone`). ASGI can only say so to
  somebody who awaits `receive`, which would cost every request a task of its own.
- A request that is no HTTP at all is refused in the API's error shape.
- So is one whose head has no end: the parser keeps all of it, and nobody has shown a key by then.
- A whole answer goes out in one write.
- A connection whose client does not read can be cut.
- Whose key was accepted last is kept, so that the next request with it costs no digest.
"""

import asyncio
from hmac import compare_digest
from typing import Protocol

from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

from headrace.ingress.answer import Answer
from headrace.ingress.asgi import SLICE_BYTES
from headrace.ingress.policy import Caller
from headrace.schemas.errors import Code, error_body

STATE = "connection"
"""Key in `scope["state"]` of (the `Connection`, uvicorn's state of this request)."""

HEAD_BYTES = 64 * 1024
"""Of a request's line and headers, or of what follows its body; more than browsers and proxies send."""


def _refusal(message: str) -> bytes:
    body = error_body(Code.INVALID_HEADER, message)
    return (
        b"HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\nx-should-retry: false\r\n"
        b"connection: close\r\ncontent-length: %d\r\n\r\n" % len(body)
    ) + body


_UNREADABLE = _refusal("The request is not valid HTTP, or a header has control characters.")
_TOO_LONG = _refusal(f"The path and the headers are longer than {HEAD_BYTES} bytes.")


class _HeadTooLong(Exception):
    """For the parser alone, which hands it to `data_received`."""


class Client(Protocol):
    """Who is told that the client went away."""

    def gone(self) -> None:
        """The connection is lost."""
        ...


class Connection(HttpToolsProtocol):
    """One connection. At most one request of it is served at a time; `client` is its party."""

    client_party: Client | None = None
    _known: tuple[bytes, Caller] | None = None
    """The `Authorization` header that was accepted last, and whose it is."""
    _pending = 0
    """What the parser may hold: bytes of the reads since a head or a piece of a body was complete. What
    followed it in the same read, at most some 256 KB, is not counted.
    """

    def data_received(self, data: bytes) -> None:
        """Parse what came, and refuse a head that has become too long."""
        self._pending += len(data)
        super().data_received(data)
        if self._pending > HEAD_BYTES:
            self._refuse(_TOO_LONG)

    def on_body(self, body: bytes) -> None:
        """A piece of a body, which is bounded by whoever reads it."""
        self._pending = 0
        super().on_body(body)

    def on_headers_complete(self) -> None:
        """A request begins: let its handler, which runs a moment later, find its connection."""
        if self._pending > HEAD_BYTES and self._head_bytes() > HEAD_BYTES:
            self._refuse(_TOO_LONG)
            raise _HeadTooLong  # ends the parser's work on what else has come
        self._pending = 0
        super().on_headers_complete()
        self.scope["state"][STATE] = (self, self.cycle)

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is closed, by whichever side."""
        party = self.client_party
        super().connection_lost(exc)
        if party is not None:
            party.gone()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's signature
        """Refuse what is not HTTP, in the API's shape."""
        self._refuse(_UNREADABLE)

    def _head_bytes(self) -> int:
        return len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)

    def _refuse(self, refusal: bytes) -> None:
        """Close the connection, with a word unless it would get into the answer to another request."""
        if self.transport.is_closing():
            return
        cycle = self.cycle
        own = cycle is None or cycle.response_complete
        if own or (cycle.more_body and not cycle.response_started and not self.pipeline):
            self.transport.write(refusal)
        self.transport.close()

    def cut(self) -> None:
        """Drop the connection and what was written to it."""
        self.transport.abort()

    def known(self, authorization: bytes) -> Caller | None:
        """Who was accepted with this header on this connection, as the last one."""
        known = self._known
        return known[1] if known is not None and compare_digest(known[0], authorization) else None

    def accepted(self, authorization: bytes, caller: Caller) -> None:
        """`caller` has shown this header."""
        self._known = authorization, caller

    def write_answer(self, cycle: RequestResponseCycle, whole: Answer) -> None:
        """Write a whole answer in one piece. By ASGI it takes two messages, which are two calls of the
        kernel and two packets, and checks each header by two regular expressions: a sixth of all that
        a request costs. `whole` carries no header that was not checked where it came from.
        """
        if cycle.disconnected:
            return
        head = [STATUS_LINE[whole.status]]
        for name, value in self.server_state.default_headers:
            head += (name, b": ", value, b"\r\n")
        for name, value in whole.headers:
            head += (name, b": ", value, b"\r\n")
        head.append(b"\r\n" if cycle.keep_alive else b"connection: close\r\n\r\n")
        head.append(whole.body)
        self.transport.write(b"".join(head))
        cycle.response_started = cycle.response_complete = True
        cycle.message_event.set()
        if not cycle.keep_alive:
            self.transport.close()
        cycle.on_response()


class Listener:
    """The party of one request: turns the board's and the connection's calls into a wake-up."""

    __slots__ = ("_connection", "_cycle", "_future", "_loop", "lost")

    def __init__(
        self, connection: Connection, cycle: RequestResponseCycle, loop: asyncio.AbstractEventLoop
    ) -> None:
        self._connection = connection
        self._cycle = cycle
        self._loop = loop
        self._future: asyncio.Future[None] | None = None
        # The client may be gone before anybody listened.
        self.lost = cycle.disconnected or connection.transport.is_closing()
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

    def change(self) -> asyncio.Future[None]:
        """Done at the next change. Look at the state first: what changed before is not told again."""
        self._future = future = self._loop.create_future()
        return future

    def answer(self, whole: Answer) -> bool:
        """Answer the request at once, or return False: a long body, and any to a slow client, must
        go by ASGI, which waits until the client has taken it.
        """
        if len(whole.body) > SLICE_BYTES or self._connection.flow.write_paused:
            return False
        self._connection.write_answer(self._cycle, whole)
        return True

    def write_part(self, part: bytes) -> bool:
        """Write a part of a stream that has begun, or return False: the client must be waited for."""
        connection = self._connection
        if connection.flow.write_paused or self.lost or not self._cycle.chunked_encoding:
            return False
        connection.transport.write(b"%x\r\n%b\r\n" % (len(part), part))
        return True

    def leave(self) -> None:
        """The request is over; the connection may serve another."""
        self._connection.client_party = None
