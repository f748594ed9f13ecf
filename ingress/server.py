"""The HTTP server: uvicorn, made to drain before it closes its doors."""

import asyncio
import signal
from collections.abc import Callable
from types import FrameType

import uvicorn

from headrace.ingress.asgi import Receive, Scope, Send
from headrace.ingress.connection import Connection

KEEP_ALIVE_S = 75
"""Longer than the official clients keep an idle connection (5 s), and than most load balancers (60 s)."""
BACKLOG = 2048
CLOSE_S = 5


def address(listen: str) -> tuple[str, int]:
    """Host and port of `HOST:PORT`."""
    host, _, port = listen.rpartition(":")
    return host.strip("[]"), int(port)


class Server(uvicorn.Server):
    """A server whose signals call `on_signal` instead of ending it at once."""

    def __init__(
        self,
        app: Callable[[Scope, Receive, Send], object],
        listen: str,
        on_signal: Callable[[], None],
    ) -> None:
        host, port = address(listen)
        super().__init__(
            uvicorn.Config(
                app,
                host=host,
                port=port,
                interface="asgi3",
                proxy_headers=False,
                http=Connection,
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_keep_alive=KEEP_ALIVE_S,
                timeout_graceful_shutdown=CLOSE_S,
                backlog=BACKLOG,
            )
        )
        self._on_signal = on_signal
        self._loop = asyncio.get_running_loop()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """First signal: drain. Second: stop at once."""
        if self.should_exit:
            self.force_exit = sig == signal.SIGINT
        self._loop.call_soon_threadsafe(self._on_signal)

    @property
    def port(self) -> int:
        """The port listened on, once started."""
        port: int = self.servers[0].sockets[0].getsockname()[1]
        return port
