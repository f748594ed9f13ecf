"""The mock as a running server: for tests as a context, for the command until it is stopped."""

import asyncio
import time
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

from headrace.cli.mock.config import MockConfig
from headrace.cli.mock.http import Bounds, HttpConnection
from headrace.cli.mock.log import CallLog
from headrace.cli.mock.routes import Routes
from headrace.cli.mock.service import MockService
from headrace.cli.mock.stats import Stats

BACKLOG = 4096


class MockUpstream:
    """`async with MockUpstream() as upstream:` serves on `upstream.url` until the block ends.

    At the end open connections are dropped and their calls logged as `stopped`.
    """

    def __init__(
        self, config: MockConfig | None = None, host: str = "127.0.0.1", port: int = 0
    ) -> None:
        """Port 0 takes a free one."""
        self._config = config or MockConfig()
        self._host = host
        self._port = port
        self._connections: set[HttpConnection] = set()
        self._stack = AsyncExitStack()
        self._log = CallLog(self._config.log, self._config.log_entries)
        self._service = MockService(
            self._config, self._log, lambda: time.time_ns() // 1_000_000, time.monotonic
        )

    async def __aenter__(self) -> Self:
        """Open the log, then listen. Raises OSError for either."""
        bounds = Bounds(self._config.max_body_bytes, self._config.max_connections)
        routes = Routes(self._service)
        loop = asyncio.get_running_loop()
        async with AsyncExitStack() as opening:
            opening.enter_context(self._log)
            server = await loop.create_server(
                lambda: HttpConnection(routes.serve, bounds, self._connections),
                self._host,
                self._port,
                backlog=BACKLOG,
            )
            opening.push_async_callback(self._drop_connections)
            opening.callback(server.close)
            self._port = server.sockets[0].getsockname()[1]
            self._stack = opening.pop_all()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop listening, drop the connections, close the log; once is enough, twice is fine."""
        self._service.stopping = True
        await self._stack.aclose()

    async def _drop_connections(self) -> None:
        running = [connection.close() for connection in tuple(self._connections)]
        await asyncio.gather(*(task for task in running if task), return_exceptions=True)

    @property
    def url(self) -> str:
        """`http://host:port`."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self._port}"

    @property
    def base_url(self) -> str:
        """What an OpenAI SDK takes as `base_url`."""
        return f"{self.url}/v1"

    @property
    def log(self) -> CallLog:
        """The calls so far."""
        return self._log

    @property
    def stats(self) -> Stats:
        """The counts so far."""
        return self._service.stats

    def reset(self) -> None:
        """Forget attempts, limits, counts and the calls in memory."""
        self._service.reset()
