"""The small HTTP side of every role: `/metrics`, `/livez` and `/readyz`, on a port of its own.

Live: the event loop answers. Ready: the role says so; a role that is not gives stable codes as reasons.
"""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import orjson
import uvicorn
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

Problems = Callable[[], list[str]]
"""Stable codes of what keeps the role from being ready; empty when it is."""
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]


class Probe:
    """A server for one process, from `start` to `close`."""

    def __init__(self, listen: str, registry: CollectorRegistry, problems: Problems) -> None:
        host, _, port = listen.rpartition(":")
        self._registry = registry
        self._problems = problems
        config = uvicorn.Config(
            self._app,
            interface="asgi3",
            host=host,
            port=int(port),
            lifespan="off",
            access_log=False,
            log_config=None,
        )
        self._server = uvicorn.Server(config)
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Listen. Raises `OSError` when the address is taken."""
        self._task = asyncio.get_running_loop().create_task(self._serve())
        while not self._server.started:
            if self._task.done():
                await self._task
            await asyncio.sleep(0.01)

    async def _serve(self) -> None:
        try:
            await self._server._serve()  # noqa: SLF001 - `serve` would take the process's signal handlers
        except SystemExit as stopped:
            raise OSError("the probe's address cannot be listened on") from stopped

    async def close(self) -> None:
        """Stop listening; may come twice or before `start`."""
        if self._task is not None:
            self._server.should_exit = True
            await self._task
            self._task = None

    async def _app(self, scope: MutableMapping[str, Any], _receive: Receive, send: Send) -> None:
        status, content_type, body = self._answer(scope["path"])
        headers = [(b"content-type", content_type), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def _answer(self, path: str) -> tuple[int, bytes, bytes]:
        if path == "/metrics":
            return 200, CONTENT_TYPE_LATEST.encode(), generate_latest(self._registry)
        if path == "/livez":
            return 200, b"application/json", b'{"status":"live"}'
        if path == "/readyz":
            problems = self._problems()
            status = "not_ready" if problems else "ready"
            body = orjson.dumps({"status": status, "problems": problems})
            return (503 if problems else 200), b"application/json", body
        return 404, b"application/json", b'{"status":"not_found"}'
