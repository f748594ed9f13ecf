"""The open loop: requests are sent when they are due, whether or not others were answered.

Latency counts from the time a request was due, so that a stall of the server is seen by all
requests that were due in it, and not only by those that were sent (coordinated omission).
"""

import asyncio
import time
from collections.abc import Iterator

from benchmarks.load.arrivals import poisson
from benchmarks.load.connection import LOST, Connection, connect
from benchmarks.load.jobs import OpenJob, Outcome, quantiles
from benchmarks.load.window import Window

TICK_S = 0.001
"""The event loop's timers have whole milliseconds; shorter waits would spin."""
MAX_CONNECTIONS = 3000
IDLE_S = 2.0
"""Connections idle for longer are not used again: servers close theirs after 5 s or more."""


class OpenLoop:
    """One window of `OpenJob`."""

    def __init__(self, job: OpenJob) -> None:
        self._job = job
        self._request = job.target.request()
        self._window = Window()
        self._idle: list[Connection] = []
        self._due_at: dict[Connection, float] = {}
        self._opening: set[asyncio.Task[None]] = set()
        self._connections = 0
        self._latency_ms: list[float] = []
        self._lag_ms: list[float] = []

    async def run(self) -> Outcome:
        """Send what is due during warm-up and the measured part, then drain."""
        job, window = self._job, self._window
        due = poisson(job.rate, job.warm_s + job.seconds, job.seed)
        sending = asyncio.create_task(self._send_all(due))
        await asyncio.sleep(job.warm_s)
        await window.measure(job.seconds)
        await sending
        await window.drain()
        for connection in self._idle:
            connection.close()
        return Outcome(
            seconds=window.seconds,
            completed=window.completed,
            failed=window.failed,
            first_failure=window.first_failure,
            latency_ms=quantiles(self._latency_ms),
            lag_ms=quantiles(self._lag_ms),
        )

    async def _send_all(self, due: Iterator[float]) -> None:
        began = time.monotonic()
        for offset in due:
            due_at = began + offset
            while (wait := due_at - time.monotonic()) > 0:  # noqa: ASYNC110 - until a time
                await asyncio.sleep(max(wait, TICK_S))
            self._send(due_at)

    def _send(self, due_at: float) -> None:
        self._window.under_way += 1
        connection = self._free_connection()
        if connection is not None:
            self._send_on(connection, due_at)
        elif self._connections < MAX_CONNECTIONS:
            self._connections += 1
            opening = asyncio.create_task(self._send_on_new(due_at))
            self._opening.add(opening)
            opening.add_done_callback(self._opening.discard)
        else:
            self._window.fail(f"more than {MAX_CONNECTIONS} requests at once")
            self._window.settle(LOST)

    def _free_connection(self) -> Connection | None:
        """The one used last, so that those not needed grow old together."""
        oldest_used = time.monotonic() - IDLE_S
        while self._idle:
            connection = self._idle.pop()
            if connection.open and connection.idle_since > oldest_used:
                return connection
            connection.close()
            self._connections -= 1
        return None

    async def _send_on_new(self, due_at: float) -> None:
        try:
            connection = await connect(self._job.target.port, lambda: Connection(self._answered))
        except OSError:
            self._window.settle(LOST)
        else:
            self._send_on(connection, due_at)

    def _send_on(self, connection: Connection, due_at: float) -> None:
        if self._window.measuring:
            self._lag_ms.append((time.monotonic() - due_at) * 1000)
        self._due_at[connection] = due_at
        connection.send(self._request)

    def _answered(self, connection: Connection, status: int) -> None:
        now = time.monotonic()
        if self._window.settle(status):
            self._latency_ms.append((now - self._due_at[connection]) * 1000)
        connection.idle_since = now
        self._idle.append(connection)
