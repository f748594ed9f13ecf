"""Clients that put bytes on the wire and keep what came back: hundreds may wait at a time."""

import asyncio
import io
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import NamedTuple, Self

import aiohttp

TIMEOUT_S = 120.0
JSON = {"content-type": "application/json"}


class Answered(NamedTuple):
    """What one client saw; `took_s` from its request to the last byte."""

    status: int
    body: bytes
    id: str
    took_s: float


class Client:
    """`async with Client(url) as client`; `url` ends with `/v1`."""

    def __init__(self, url: str) -> None:
        self._url = url

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),
            timeout=aiohttp.ClientTimeout(total=TIMEOUT_S),
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def ask(
        self, body: bytes, path: str = "chat/completions", *, chunked: bool = False, **headers: str
    ) -> Answered:
        """Send `body` and wait for the whole answer; `_` in a header's name stands for `-`."""
        began = time.monotonic()
        async with self.open(body, path, chunked=chunked, **headers) as response:
            content = await response.read()
        took_s = time.monotonic() - began
        return Answered(response.status, content, response.headers.get("x-request-id", ""), took_s)

    @asynccontextmanager
    async def open(
        self, body: bytes, path: str = "chat/completions", *, chunked: bool = False, **headers: str
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send `body`; the answer once its head is there. Leaving early drops the connection."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        async with self._session.post(
            f"{self._url}/{path}",
            data=io.BytesIO(body),
            headers=JSON | named,
            chunked=chunked or None,
        ) as response:
            yield response

    async def flood(self, bodies: Iterable[bytes], per_s: float, **headers: str) -> list[Answered]:
        """Send each body in its turn, `per_s` a second, however slow the answers are."""
        began = time.monotonic()
        asked = []
        for turn, body in enumerate(bodies):
            await asyncio.sleep(began + turn / per_s - time.monotonic())
            asked.append(asyncio.create_task(self.ask(body, **headers)))
        return await asyncio.gather(*asked)
