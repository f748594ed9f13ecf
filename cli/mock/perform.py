"""Acting a reply out on a connection: waits, pace, bytes, and the way it ends."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from headrace.cli.mock.errors import REASONS
from headrace.cli.mock.faults import Ending
from headrace.cli.mock.replies import Reply
from headrace.cli.mock.streams import Frame

BURST = 64
DRIP_TICK_S = 0.05


class Wire(Protocol):
    """The connection as a reply needs it. A disconnect of the client cancels the caller."""

    def write(self, payload: bytes) -> None:
        """Queue bytes for the socket."""

    async def drain(self) -> None:
        """Wait while too many bytes are queued."""

    async def break_off(self, ending: Ending) -> None:
        """Hand all queued bytes to the kernel, then reset (RST) or close (FIN)."""


@dataclass(slots=True)
class Sent:
    """What has gone out so far; readable at any moment, also after a cancellation."""

    status: int = 0
    bytes: int = 0
    chunks: int = 0


async def perform(reply: Reply, wire: Wire, sent: Sent, *, chunked: bool, keep: bool) -> None:
    """Send `reply`. Returns after the last byte, or after the connection was broken off.

    `chunked`: streams use chunked coding (HTTP/1.1), else end with the connection. `keep`: the
    connection may serve another call. Never returns for Ending.HANG: only a cancellation ends it.
    """
    await _pause(reply.pace.head_s)
    if not reply.silent:
        sent.status = reply.status
        writer = _Writer(wire, sent, reply.pace.bytes_per_s)
        writer.write(_head(reply, chunked, keep))
        if reply.frames is None:
            await writer.send(reply.body)
        else:
            await _send_frames(reply, reply.frames, writer, chunked)
    if reply.ending is Ending.HANG:
        await asyncio.get_running_loop().create_future()
    if reply.ending is not Ending.COMPLETE:
        await wire.break_off(reply.ending)


async def _pause(seconds: float) -> None:
    if seconds > 0:
        await asyncio.sleep(seconds)


def _head(reply: Reply, chunked: bool, keep: bool) -> bytes:
    lines = [f"HTTP/1.1 {reply.status} {REASONS[reply.status]}"]
    lines += [f"{name}: {value}" for name, value in reply.headers]
    if reply.frames is None:
        lines.append(f"content-length: {reply.length}")
    elif chunked:
        lines.append("transfer-encoding: chunked")
    if not keep or (reply.frames is not None and not chunked):
        lines.append("connection: close")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


async def _send_frames(
    reply: Reply, frames: Iterator[Frame], writer: "_Writer", chunked: bool
) -> None:
    """Frames go out on an absolute schedule, so a late one does not delay those behind it."""
    now = asyncio.get_running_loop().time
    started = now() + reply.pace.first_s
    for number, (at_token, payload) in enumerate(frames):
        wait = started + at_token * reply.pace.gap_s - now()
        if wait > 0 or number % BURST == BURST - 1:
            await asyncio.sleep(max(0.0, wait))
        await writer.send(b"%x\r\n%b\r\n" % (len(payload), payload) if chunked else payload)
        writer.sent.chunks += 1
    if chunked and reply.ending is Ending.COMPLETE:
        await writer.send(b"0\r\n\r\n")


class _Writer:
    """Counts what goes out; a body goes at once, or drips at `bytes_per_s`."""

    def __init__(self, wire: Wire, sent: Sent, bytes_per_s: float) -> None:
        self._wire = wire
        self.sent = sent
        self._bytes_per_s = bytes_per_s

    async def send(self, payload: bytes) -> None:
        if not self._bytes_per_s:
            self.write(payload)
            await self._wire.drain()
            return
        slice_size = max(1, int(self._bytes_per_s * DRIP_TICK_S))
        for start in range(0, len(payload), slice_size):
            self.write(payload[start : start + slice_size])
            await self._wire.drain()
            await asyncio.sleep(slice_size / self._bytes_per_s)

    def write(self, payload: bytes) -> None:
        self._wire.write(payload)
        self.sent.bytes += len(payload)
