"""The upstream for streams, and for plain answers where there is no nginx.

A stream starts with its first token at once and goes on at a constant rate. Every token says
when it was sent, so that a client can tell how long it was on its way.
"""

import asyncio
import sys
import time
from typing import cast

import httptools
import uvloop

from benchmarks.upstream.answers import PLAIN, STREAM_HEAD, http_chunk, last_events, token_event
from benchmarks.upstream.wheel import Wheel

TICK_S = 0.001


class TokenClock:
    """Sends the tokens of all streams; `rate` per second and stream, `tokens` in each."""

    def __init__(self, rate: int, tokens: int) -> None:
        self._tokens = tokens
        self._left: dict[asyncio.WriteTransport, int] = {}
        self._busy = asyncio.Event()
        self._wheel: Wheel[asyncio.WriteTransport] = Wheel(round(1 / rate / TICK_S), tick_now())

    def start(self, transport: asyncio.WriteTransport) -> None:
        """Head and first token now, the next one a turn later."""
        transport.write(STREAM_HEAD + http_chunk(token_event(time.monotonic_ns())))
        self._left[transport] = self._tokens - 1
        self._wheel.add(transport)
        self._busy.set()

    def drop(self, transport: asyncio.WriteTransport) -> None:
        """The connection is gone."""
        self._left.pop(transport, None)
        self._wheel.remove(transport)

    async def run(self) -> None:
        """Tick for ever, but only while there are streams."""
        while True:
            if not self._left:
                self._busy.clear()
                await self._busy.wait()
            await asyncio.sleep(TICK_S)
            for transport in self._wheel.due(tick_now()):
                self._send(transport)

    def _send(self, transport: asyncio.WriteTransport) -> None:
        if transport not in self._left:
            return  # it ended among the late ticks of this very round
        event = token_event(time.monotonic_ns())
        self._left[transport] -= 1
        if self._left[transport] > 0:
            transport.write(http_chunk(event))
        else:
            transport.write(http_chunk(event + last_events()) + b"0\r\n\r\n")
            self.drop(transport)


def tick_now() -> int:
    """The number of the present millisecond."""
    return int(time.monotonic() / TICK_S)


class UpstreamProtocol(asyncio.Protocol):
    """HTTP/1.1 without pipelining; a body that asks for a stream gets one."""

    def __init__(self, clock: TokenClock) -> None:
        self._clock = clock
        self._body = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client connected."""
        self._transport = cast("asyncio.WriteTransport", transport)
        self._parser = httptools.HttpRequestParser(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio passes it by name
        """It left, perhaps in the middle of its stream."""
        self._clock.drop(self._transport)

    def data_received(self, data: bytes) -> None:
        """Bytes of a request."""
        self._parser.feed_data(data)

    def on_message_begin(self) -> None:
        """httptools: a request begins."""
        self._body = b""

    def on_body(self, body: bytes) -> None:
        """httptools: a piece of its body."""
        self._body += body

    def on_message_complete(self) -> None:
        """httptools: all of it is here."""
        if b'"stream":true' in self._body.replace(b": ", b":"):
            self._clock.start(self._transport)
        else:
            self._transport.write(PLAIN)


async def serve(port: int, rate: int, tokens: int) -> None:
    """Serve until the process is ended."""
    clock = TokenClock(rate, tokens)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: UpstreamProtocol(clock), "127.0.0.1", port, backlog=1024
    )
    async with server:
        await clock.run()


def main() -> None:
    """Arguments: port, tokens a second in each stream, tokens in each stream."""
    port, rate, tokens = (int(one) for one in sys.argv[1:])
    uvloop.run(serve(port, rate, tokens))


if __name__ == "__main__":
    main()
