"""What happens in a demo: a fifth of the prompts; a lull until no stream is open; a burst, in whose
midst a dispatcher is killed; and the rest, while its work is taken over.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence

from headrace.cli.demo import setting
from headrace.cli.demo.clients import Clients
from headrace.cli.demo.crash import CrashMissed, kill_the_busiest
from headrace.cli.demo.evidence import Asked, Kill
from headrace.cli.demo.ledger import Ledger
from headrace.cli.demo.prompts import Prompt
from headrace.cli.demo.traffic import Traffic
from headrace.cli.up.stack import Stack

PER_S = 45.0
"""Requests a second while nothing special happens."""
BURST_PER_S = 400.0
FEWEST_IN_BURST = 45
"""Three dispatchers share a burst unevenly: with fewer, none might hold enough calls."""
LULL_LIMIT_S = 20.0
CRASH_LIMIT_S = 4.0
LOOK_S = 0.02

Numbered = list[tuple[int, Prompt]]


class Scenario:
    """Sends `prompts` to a running stack, and kills one of its dispatchers on the way."""

    def __init__(
        self, prompts: Sequence[Prompt], ledger: Ledger, stack: Stack, now_ms: Callable[[], int]
    ) -> None:
        self._prompts = list(enumerate(prompts, 1))
        self._ledger = ledger
        self._stack = stack
        self._now_ms = now_ms
        self.killed = ""
        """Name of the killed dispatcher, once it is."""
        self.kill: Kill | None = None

    async def play(self, traffic: Traffic, clients: Clients) -> None:
        """The traffic, and the crash in its middle; a burst that gave no chance is repeated."""
        before, rest = split(self._prompts, len(self._prompts) // 5)
        await traffic.send(clients, before, PER_S)
        while self.kill is None:
            await self._lull()
            burst, rest = split(rest, burst_size(len(self._prompts)))
            if len(rest) < FEWEST_IN_BURST:
                burst = plain_first(burst)
            sending = asyncio.create_task(traffic.send(clients, burst, BURST_PER_S))
            try:
                await self._crash()
            except CrashMissed as missed:
                if len(rest) < FEWEST_IN_BURST:
                    errors = told_errors(self._ledger.history)
                    raise CrashMissed(f"{missed}. {errors}") from None
            finally:
                await sending
        await traffic.send(clients, rest, PER_S)
        await traffic.all_ended()

    async def _lull(self) -> None:
        """Wait until no stream is open: one that has begun would be ended by the crash."""
        try:
            async with asyncio.timeout(LULL_LIMIT_S):
                while self._ledger.open_streams:  # noqa: ASYNC110 - threads end some of them
                    await asyncio.sleep(LOOK_S)
        except TimeoutError:
            open_streams = self._ledger.open_streams
            late = f"{open_streams} streams were still open after {LULL_LIMIT_S:.0f} s"
            raise CrashMissed(late) from None

    async def _crash(self) -> None:
        ports = self._stack.layout.dispatchers
        victims = {
            f"http://127.0.0.1:{port}/metrics": role
            for port, role in zip(ports, self._stack.dispatchers, strict=True)
        }
        self.killed, self.kill = await kill_the_busiest(
            victims,
            self._stack.mock_log,
            least=setting.LEAST_HELD,
            first_byte_ms=setting.FIRST_BYTE_MS,
            now_ms=self._now_ms,
            until_ms=self._now_ms() + round(CRASH_LIMIT_S * 1000),
        )


def told_errors(history: Sequence[Asked]) -> str:
    """Whether the requests went well otherwise: the most frequent error of their clients."""
    errors = Counter(asked.error for asked in history if asked.error)
    ended = sum(asked.ended_at > 0 for asked in history)
    if not errors:
        return f"Of {ended} answers so far none was an error."
    ((most, times),) = errors.most_common(1)
    return f"Of {ended} answers so far {errors.total()} were errors, {times} times: {most}"


def split(prompts: Numbered, count: int) -> tuple[Numbered, Numbered]:
    """The first `count` and the rest."""
    return prompts[:count], prompts[count:]


def burst_size(count: int) -> int:
    """How many of `count` requests come at once."""
    return max(FEWEST_IN_BURST, count // 5)


def plain_first(burst: Numbered) -> Numbered:
    """For the last chance, streams last: other calls fill the seats before one of them begins."""
    return sorted(burst, key=lambda numbered: numbered[1].stream)
