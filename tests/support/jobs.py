"""Two replicas of ingress, and jobs as a client asks for them."""

import json
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import httpx

from headrace.ingress.app import Ingress
from support.answering import AnsweringDispatcher


class Pair(NamedTuple):
    """Two replicas with one test dispatcher behind them, and a client of each."""

    dispatcher: AnsweringDispatcher
    ingresses: list[Ingress]
    http: list[httpx.AsyncClient]

    @property
    def first(self) -> httpx.AsyncClient:
        """The client of the first replica."""
        return self.http[0]

    @property
    def second(self) -> httpx.AsyncClient:
        """The client of the other one."""
        return self.http[1]


PairUp = Callable[..., Awaitable[Pair]]


async def ready(http: httpx.AsyncClient) -> bool:
    """Whether a replica accepts requests and knows the log."""
    response = await http.get("/readyz?verbose")
    return response.status_code == 200 and response.json()["checks"]["index"] == "ok"


def submitted(body: bytes, **fields: Any) -> bytes:
    """The body of `POST /v1/jobs` around `body`, which keeps its bytes."""
    rest = json.dumps({"endpoint": "/v1/chat/completions", **fields})
    return b'%b, "body": %b}' % (rest[:-1].encode(), body)
