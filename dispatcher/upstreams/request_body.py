"""A request body that knows whether it was sent."""

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

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """The body as text."""
        return self._value.decode(encoding, errors)

    async def write(self, writer: AbstractStreamWriter) -> None:
        """Write all of it, waiting whenever the socket is full."""
        body = self._value
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
