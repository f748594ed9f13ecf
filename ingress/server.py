"""The HTTP server: uvicorn, made to drain before it closes its doors."""

import asyncio
import signal
import socket
from collections.abc import Callable
from types import FrameType

import uvicorn

from headrace.ingress.asgi import Receive, Scope, Send
from headrace.ingress.connection import Connection

KEEP_ALIVE_S = 75
"""Longer than the official clients keep an idle connection (5 s), and than most load balancers (60 s)."""
BACKLOG = 2048
CLOSE_S = 5


def listen_on(listen: str) -> socket.socket:
    """A listening socket on `HOST:PORT`. Raises `OSError` where that is not possible."""
    host, _, port = listen.rpartition(":")
    host = host.strip("[]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, int(port)), family=family, backlog=BACKLOG)


class Server(uvicorn.Server):
    """A server whose signals call `on_signal` instead of ending it at once."""

    def __init__(
        self, app: Callable[[Scope, Receive, Send], object], on_signal: Callable[[], None]
    ) -> None:
        super().__init__(
            uvicorn.Config(
                app,
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
        self.listening = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept connections, and say so."""
        await super().startup(sockets)
        self.listening.set()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 - uvicorn's
        """First signal: drain. Second: stop at once."""
        if self.should_exit:
            self.force_exit = sig == signal.SIGINT
        self._loop.call_soon_threadsafe(self._on_signal)
