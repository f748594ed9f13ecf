"""An upstream whose places break and mend while a test runs; it counts what it was asked."""

import asyncio
import json
import time
from typing import NamedTuple, Self

from aiohttp import web

ANSWER = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [
        {"index": 0, "message": {"role": "assistant", "content": "yes"}, "finish_reason": "stop"}
    ],
}


class Asked(NamedTuple):
    """One call."""

    at_ms: int
    place: str
    status: int


class SwitchedUpstream:
    """`base_url("east")` is one of its places; `answers["east"]` the status that it gives, by default 200.

    0: it never answers.
    """

    def __init__(self) -> None:
        self.answers: dict[str, int] = {}
        self.asked: list[Asked] = []
        app = web.Application()
        app.router.add_post("/{place}/v1/chat/completions", self._answer)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        _, self._port = self._runner.addresses[0][:2]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    def base_url(self, place: str) -> str:
        """What a deployment's configuration takes."""
        return f"http://127.0.0.1:{self._port}/{place}/v1"

    def at(self, place: str, since_ms: int = 0) -> list[Asked]:
        """The calls that a place got."""
        return [one for one in self.asked if one.place == place and one.at_ms >= since_ms]

    def failed(self, place: str) -> int:
        """How many of them were not answered well."""
        return sum(one.status != 200 for one in self.at(place))

    async def _answer(self, request: web.Request) -> web.Response:
        place = request.match_info["place"]
        status = self.answers.get(place, 200)
        self.asked.append(Asked(round(time.time() * 1000), place, status))
        await request.read()
        if status == 0:
            await asyncio.Event().wait()
        body = ANSWER if status == 200 else {"error": {"message": "no", "type": "no", "code": "no"}}
        return web.Response(
            status=status, body=json.dumps(body).encode(), content_type="application/json"
        )
