"""Sending: an open loop, so that slow answers do not slow the sending down."""

import asyncio
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Self

from headrace.cli.demo.clients import Clients
from headrace.cli.demo.prompts import Prompt

THREADS = 128
"""Sync clients that may wait at a time; a further one is sent when another has its answer."""


class Traffic:
    """Sends prompts and waits for all of them. An async context manager.

    Entered before the servers that it talks to: so they are gone, and with them whatever its
    threads still wait for, when it waits for the threads to end.
    """

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="client")
        self._waiting: set[asyncio.Future[None]] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for waiting in self._waiting:
            waiting.cancel()
        await asyncio.to_thread(self._threads.shutdown, wait=True, cancel_futures=True)

    async def send(
        self, clients: Clients, prompts: Iterable[tuple[int, Prompt]], per_s: float
    ) -> None:
        """Send each (number, prompt) in its turn, `per_s` a second; returns after the last."""
        loop = asyncio.get_running_loop()
        started_at = loop.time()
        for turn, (number, prompt) in enumerate(prompts):
            await asyncio.sleep(started_at + turn / per_s - loop.time())
            self._start(clients, number, prompt)

    async def all_ended(self) -> None:
        """Wait until every client has its answer, or its error."""
        while self._waiting:
            await asyncio.wait(self._waiting)

    def _start(self, clients: Clients, number: int, prompt: Prompt) -> None:
        loop = asyncio.get_running_loop()
        asked: asyncio.Future[None]
        if prompt.client == "sync":
            asked = loop.run_in_executor(self._threads, clients.ask, number, prompt)
        else:
            asked = loop.create_task(clients.ask_async(number, prompt))
        self._waiting.add(asked)
        asked.add_done_callback(self._waiting.discard)
