"""Requests whose deadline has passed and that nobody has ended get their answer: `expired` (P1).

A request in a deep queue is only reached by a dispatcher when its turn comes. Every replica looks; each
waits a random moment before it writes, so that mostly one of them does. Whoever writes second changes
nothing: the first end in the log counts, a late result as well.
"""

import asyncio
from collections.abc import Callable

from headrace.ingress.index import Index
from headrace.ingress.jobs.ledger import Ledger
from headrace.schemas.names import Outcome, RequestId, Tenant
from headrace.telemetry.logs import Log

TICK_S = 0.5
AT_ONCE = 2_000
"""Requests ended in one turn. With more than that overdue nobody waits for the others any more."""
SPREAD_S = 5.0
"""The longest wait of a replica. The index tells a request 10 s after its deadline, P1 allows 30 s."""


class Sweeper:
    """One per process; `run` it as a task."""

    def __init__(
        self, index: Index, ledger: Ledger, now_ms: Callable[[], int], monotonic: Callable[[], float],
        roll: Callable[[], float], log: Log,
    ) -> None:  # fmt: skip
        """`now_ms` is broker time, `roll` a random number in [0, 1)."""
        self._index = index
        self._ledger = ledger
        self._now_ms = now_ms
        self._monotonic = monotonic
        self._roll = roll
        self._log = log
        self._turns: dict[tuple[Tenant, RequestId], float] = {}
        """When it is this replica's turn to end a request."""

    async def run(self) -> None:
        """Sweep until cancelled."""
        while True:
            await asyncio.sleep(TICK_S)
            await self.sweep()

    async def sweep(self) -> int:
        """One turn; returns how many requests were ended."""
        if not self._index.ready:
            return 0
        found = self._index.due(self._now_ms(), AT_ONCE)
        spread_s = SPREAD_S if len(found) < AT_ONCE else 0.0
        now, turns = self._monotonic(), self._turns
        self._turns = {}
        overdue = []
        for row in found:
            key = row.tenant, row.id
            turn_at = turns.get(key)
            if turn_at is None:
                turn_at = now + self._roll() * spread_s
            self._turns[key] = turn_at
            if turn_at <= now:
                overdue.append(row)
        refused = await asyncio.gather(
            *(self._ledger.end(row, Outcome.EXPIRED, "sweeper") for row in overdue)
        )
        ended = refused.count(None)
        if overdue:
            self._log.info("requests_expired", count=ended)
        return ended
