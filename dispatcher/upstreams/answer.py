"""Reads what an upstream sends back, whole or as a stream, within its bounds."""

import asyncio
from dataclasses import dataclass
from typing import Final

import aiohttp

from headrace.dispatcher.ports import Break
from headrace.dispatcher.upstreams.coalesce import Chunks
from headrace.dispatcher.upstreams.inflate import Inflater, TooLarge
from headrace.dispatcher.upstreams.sse import MAX_FEED_BYTES, EventReader
from headrace.dispatcher.upstreams.watch import Watch

END_GRACE_S: Final = 0.25
"""How long the end of the body may come after `[DONE]` before the connection is given up."""


class Malformed(Exception):
    """A stream that is not one, or ends without saying so."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one answer may take."""

    stall_s: float
    max_bytes: int


class Answer:
    """The body of one response on its way in."""

    __slots__ = ("_bounds", "_content", "_inflater", "_left", "_length", "_watch")

    def __init__(self, response: aiohttp.ClientResponse, bounds: Bounds, watch: Watch) -> None:
        """Raises `Undecodable` for an encoding that was not offered."""
        self._bounds = bounds
        self._watch = watch
        self._content = response.content
        self._length = response.content_length or 0
        self._left = bounds.max_bytes
        encoding = response.headers.get("Content-Encoding", "").lower()
        packed = encoding not in ("", "identity")
        self._inflater = Inflater(encoding, bounds.max_bytes) if packed else None

    async def whole(self) -> bytes:
        """A plain body. Progress is any byte.

        Raises `TooLarge`, `Undecodable` and what aiohttp raises.
        """
        if self._length > self._bounds.max_bytes:
            raise TooLarge
        if self._content.is_eof():
            parts = [self._taken(self._content.read_nowait(-1))]
        else:
            parts = await self._pieces()
        if self._inflater is not None:
            self._inflater.end()
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def stream(self, chunks: Chunks, reader: EventReader) -> tuple[bytes, bytes]:
        """Put events, which a new `reader` finds, into `chunks` until the stream ends by its own word.

        Returns the last events, for the final record, and the error object of an error event.
        Progress is a whole line: a byte a second is none. Comments before the first event are not
        passed on, they must not bind the request to this attempt. Raises `Malformed`, `TooLarge`,
        `Undecodable` and what aiohttp raises.
        """
        last = b""
        while not reader.over:
            data = await self._content.readany()
            if not data:
                last = reader.end()
                break
            data = self._taken(data)
            self._note_progress(data, first=not reader.has_data)
            last = _forward_events(reader, data, chunks)
        if reader.fault:
            raise Malformed(reader.fault)
        last = chunks.take() + last
        if reader.ended:
            await self._read_out()
        return last, reader.error

    async def _pieces(self) -> list[bytes]:
        self._watch.enter(Break.STALL, self._bounds.stall_s)
        parts: list[bytes] = []
        while data := await self._content.readany():
            self._watch.renew()
            parts.append(self._taken(data))
        return parts

    def _taken(self, data: bytes) -> bytes:
        """Unpacked where need be, and counted."""
        if self._inflater is not None:
            data = self._inflater.feed(data)
        self._left -= len(data)
        if self._left < 0:
            raise TooLarge
        return data

    def _note_progress(self, data: bytes, *, first: bool) -> None:
        if b"\n" not in data and b"\r" not in data:
            return
        if first:
            self._watch.enter(Break.STALL, self._bounds.stall_s)
        else:
            self._watch.renew()

    async def _read_out(self) -> None:
        """Let the body end, so that the connection can be used again."""
        if self._content.is_eof():
            return
        try:
            async with asyncio.timeout(END_GRACE_S):
                while await self._content.readany():
                    pass
        except (TimeoutError, aiohttp.ClientError):
            # The answer is whole; only its connection is not fit for another call.
            return


def _forward_events(reader: EventReader, data: bytes, chunks: Chunks) -> bytes:
    """Feed `data`; what is there once the stream has ended is returned, not forwarded.

    What stands before a fault is held: where nothing went out yet, the call can still be repeated.
    """
    for start in range(0, len(data), MAX_FEED_BYTES):
        events = reader.feed(data[start : start + MAX_FEED_BYTES])
        if reader.fault:
            chunks.hold(events)
        elif reader.over:
            return events
        elif reader.has_data:
            chunks.add(events)
    return b""
