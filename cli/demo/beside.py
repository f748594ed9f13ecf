"""Requests beside the demo's own traffic: sent at a pace, and kept out of its evidence."""

import asyncio
from collections.abc import Callable, Iterable, Mapping

import httpx
import msgspec

from headrace.cli.demo.evidence import Dump, Record
from headrace.schemas.headers import H

TIMEOUT_S = 100.0


class Asker:
    """Sends `count` requests, `per_s` a second, and keeps what came back."""

    def __init__(
        self,
        count: int,
        per_s: float,
        body: Callable[[int], dict[str, object]],
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """`body`: that of the request with a number; `headers`: of each of them."""
        self._count = count
        self._per_s = per_s
        self._body = body
        self._headers = headers
        self.statuses: list[int] = []
        """Of the answers so far; 0: none came."""
        self.ids: set[str] = set()

    async def ask_all(self, url: str) -> None:
        """Send all of them to the ingress at `url`; returns when each has ended."""
        limits = httpx.Limits(max_connections=None)
        async with (
            httpx.AsyncClient(
                trust_env=False, timeout=TIMEOUT_S, limits=limits, headers=self._headers
            ) as client,
            asyncio.TaskGroup() as asking,
        ):
            for number in range(self._count):
                asking.create_task(self._ask(client, url, number))
                await asyncio.sleep(1 / self._per_s)

    async def _ask(self, client: httpx.AsyncClient, url: str, number: int) -> None:
        try:
            answer = await client.post(f"{url}/v1/chat/completions", json=self._body(number))
        except httpx.HTTPError:
            self.statuses.append(0)
            return
        self.statuses.append(answer.status_code)
        self.ids.add(answer.headers.get("x-request-id", ""))


def without(dump: Dump, ids: set[str]) -> Dump:
    """The records of all other requests."""

    def others(records: Iterable[Record]) -> tuple[Record, ...]:
        return tuple(one for one in records if one.header(H.ID) not in ids)

    return msgspec.structs.replace(
        dump,
        requests=others(dump.requests),
        replies=others(dump.replies),
        dead_letters=others(dump.dead_letters),
    )
