"""The closed loop: each connection sends its next request when it has its answer."""

import asyncio
import time

from benchmarks.load.connection import LOST, Connection, connect
from benchmarks.load.jobs import ClosedJob, Outcome, quantiles
from benchmarks.load.window import Window


class ClosedLoop:
    """One window of `ClosedJob`."""

    def __init__(self, job: ClosedJob) -> None:
        self._job = job
        self._request = job.target.request()
        self._window = Window()
        self._sent_at: dict[Connection, float] = {}
        self._latency_ms: list[float] = []

    async def run(self) -> Outcome:
        """Connect, warm up, measure, drain."""
        window = self._window
        connections = [
            await connect(self._job.target.port, lambda: Connection(self._answered))
            for _ in range(self._job.connections)
        ]
        for connection in connections:
            self._send(connection)
        await asyncio.sleep(self._job.warm_s)
        await window.measure(self._job.seconds)
        await window.drain()
        for connection in connections:
            connection.close()
        return Outcome(
            seconds=window.seconds,
            completed=window.completed,
            failed=window.failed,
            first_failure=window.first_failure,
            latency_ms=quantiles(self._latency_ms),
        )

    def _send(self, connection: Connection) -> None:
        self._window.under_way += 1
        self._sent_at[connection] = time.monotonic()
        connection.send(self._request)

    def _answered(self, connection: Connection, status: int) -> None:
        if self._window.settle(status):
            self._latency_ms.append((time.monotonic() - self._sent_at[connection]) * 1000)
        if status == LOST or not connection.open:
            self._window.fail("the server closed a connection")
        elif not self._window.stopped:
            self._send(connection)
