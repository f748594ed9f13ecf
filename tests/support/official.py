"""The official client as tests use it: its own retries are off, there is one retry loop."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import openai

TIMEOUT_S = 60.0


class Pair(NamedTuple):
    """The same client with two addresses."""

    through: openai.AsyncOpenAI
    direct: openai.AsyncOpenAI


def sync_client(base_url: str) -> openai.OpenAI:
    """The client for threads."""
    return openai.OpenAI(base_url=base_url, api_key="any", max_retries=0, timeout=TIMEOUT_S)


@asynccontextmanager
async def pair_of(through: str, direct: str) -> AsyncIterator[Pair]:
    """Clients of Headrace and of its upstream; both URLs end with `/v1`."""
    async with (
        openai.AsyncOpenAI(
            base_url=through, api_key="any", max_retries=0, timeout=TIMEOUT_S
        ) as first,
        openai.AsyncOpenAI(
            base_url=direct, api_key="any", max_retries=0, timeout=TIMEOUT_S
        ) as second,
    ):
        yield Pair(first, second)


async def collect(stream: Any, into: list[Any]) -> None:
    """Read a stream to its end; what came before an error stays in `into`."""
    async for chunk in stream:
        into.append(chunk)  # noqa: PERF401 - a comprehension would lose what came before
