"""A request body that knows whether it was sent."""

import asyncio
from collections.abc import Callable

from aiohttp.abc import AbstractStreamWriter
from aiohttp.payload import Payload

PIECE_BYTES = 65_536


class RequestBody(Payload):
    """JSON bytes; `sent` once all of them were handed to the socket.

    aiohttp's own payload for bytes does not tell, and warns above 1 MiB because it writes in one go.
    """

    _value: bytes

    def __init__(self, body: bytes, gate: Callable[[], bool] | None = None) -> None:
        """`gate` is asked by `GatedRequest`."""
        super().__init__(body, content_type="application/json")
        self._size = len(body)
        self.sent = False
        self.gate = gate
        self.opened_s = 0.0
        """When the gate opened; 0 where there is none (the event loop's time)."""
        self.spent_s = 0.0
        """How long after that the first byte was handed to the socket."""

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """The body as text."""
        return self._value.decode(encoding, errors)

    async def write(self, writer: AbstractStreamWriter) -> None:
        """Write all of it, waiting whenever the socket is full."""
        body = self._value
        if self.opened_s:
            self.spent_s = asyncio.get_running_loop().time() - self.opened_s
        if len(body) <= PIECE_BYTES:
            await writer.write(body)
        else:
            view = memoryview(body)
            for start in range(0, len(body), PIECE_BYTES):
                await writer.write(view[start : start + PIECE_BYTES])
        self.sent = True

    async def write_with_length(
        self,
        writer: AbstractStreamWriter,
        content_length: int | None,  # noqa: ARG002  aiohttp calls it so
    ) -> None:
        """The declared length is the body's own."""
        await self.write(writer)
