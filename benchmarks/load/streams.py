"""Streams: each client reads one to its end and then asks for the next."""

import asyncio
import time

from benchmarks.load.connection import LOST, Connection, connect
from benchmarks.load.jobs import Outcome, StreamsJob, quantiles
from benchmarks.load.tokens import TokenCount
from benchmarks.load.window import Window


class Samples:
    """What the streams of one window saw, in milliseconds."""

    def __init__(self) -> None:
        self.first_ms: list[float] = []
        self.gaps_ms: list[float] = []
        self.token_ms: list[float] = []
        self.tokens = 0


class StreamConnection(Connection):
    """Reads streams and notes when tokens came."""

    def __init__(self, loop: "StreamsLoop") -> None:
        super().__init__(self._ended)
        self._loop = loop
        self._window = loop.window
        self._samples = loop.samples
        self._sent_at = 0.0
        self._read_at = 0.0
        self._oldest_ns = 0
        self._arrived = 0
        self.count = TokenCount()

    def send(self, request: bytes) -> None:
        """Ask for the next stream."""
        self.count = TokenCount()
        self._read_at = 0.0
        self._sent_at = time.monotonic()
        super().send(request)

    def data_received(self, data: bytes) -> None:
        """One read is one sample, however many tokens it brings."""
        super().data_received(data)
        self._take_sample()

    def on_body(self, body: bytes) -> None:
        """httptools: a piece of the stream."""
        sent = self.count.feed(body)
        if sent:
            self._oldest_ns = self._oldest_ns or sent[0]
            self._arrived += len(sent)

    def on_message_complete(self) -> None:
        """httptools: the stream ended. The next one is asked for in here."""
        self._take_sample()
        super().on_message_complete()

    def _ended(self, _connection: Connection, status: int) -> None:
        self._loop.ended(self, status)

    def _take_sample(self) -> None:
        if not self._arrived:
            return
        now = time.monotonic()
        if self._window.measuring:
            samples = self._samples
            samples.tokens += self._arrived
            samples.token_ms.append(now * 1000 - self._oldest_ns / 1e6)
            if self._read_at:
                samples.gaps_ms.append((now - self._read_at) * 1000)
            else:
                samples.first_ms.append((now - self._sent_at) * 1000)
        self._read_at = now
        self._arrived = self._oldest_ns = 0


class StreamsLoop:
    """One window of `StreamsJob`."""

    def __init__(self, job: StreamsJob) -> None:
        self._job = job
        self._request = job.target.request()
        self.window = Window()
        self.samples = Samples()
        self._connections: list[StreamConnection] = []

    async def run(self) -> Outcome:
        """Start the streams spread over the length of one, measure, and let the last ones end."""
        job, window, samples = self._job, self.window, self.samples
        for _ in range(job.streams):
            await self._start_one()
            await asyncio.sleep(job.stream_s / job.streams)
        await window.measure(job.seconds)
        await window.drain()
        for connection in self._connections:
            connection.close()
        return Outcome(
            seconds=window.seconds,
            completed=window.completed,
            failed=window.failed,
            first_failure=window.first_failure,
            latency_ms=quantiles(samples.first_ms),
            gaps_ms=quantiles(samples.gaps_ms),
            token_ms=quantiles(samples.token_ms),
            tokens=samples.tokens,
        )

    async def _start_one(self) -> None:
        connection = await connect(self._job.target.port, lambda: StreamConnection(self))
        self._connections.append(connection)
        self._send(connection)

    def _send(self, connection: Connection) -> None:
        self.window.under_way += 1
        connection.send(self._request)

    def ended(self, connection: StreamConnection, status: int) -> None:
        """A stream ended: it must be complete; then the next."""
        self.window.settle(status)
        count = connection.count
        if status == 200 and (not count.done or count.tokens != self._job.tokens):
            self.window.fail(f"a stream of {count.tokens} tokens, [DONE]: {count.done}")
        if status == LOST or not connection.open:
            self.window.fail("the server closed a connection")
        elif not self.window.stopped:
            self._send(connection)
