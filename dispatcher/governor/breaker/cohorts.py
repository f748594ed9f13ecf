"""The breaker's evidence: calls by the second of their start, merged from the reports of all dispatchers.

How it works. Errors come back in milliseconds and answers in seconds, so a window over *ends* sees
mostly failures when traffic begins, and mostly successes when an outage does. These windows are over
*starts*: what failed of the calls that were started. A report's counts only grow, so the larger of
two is the newer one, field by field; a report that comes twice, late or in another order changes
nothing. What grew is added to the sums, so that a rule adds up a few seconds and not a fleet.

Calls older than `keep_s` are not told apart any more; their second's sum stays for `FARTHEST_S`.
"""

from collections.abc import Iterable, Iterator
from typing import Final

import msgspec
from msgspec.structs import astuple

from headrace.dispatcher.governor.breaker.policy import FARTHEST_S, BreakerPolicy
from headrace.schemas.cohorts import Cell, Counts
from headrace.schemas.names import Tenant

MOST_REPORTERS: Final = 1_024
"""Dispatchers whose reports of one second are held apart."""
AHEAD_S: Final = 2
"""How far a dispatcher's clock may be ahead."""
NONE: Final = Counts()


class Cohorts:
    """The calls of one deployment. Time never goes back: what is asked for is at `now_s` at least."""

    def __init__(self, policy: BreakerPolicy) -> None:
        self._keep_s = policy.keep_s
        self._told: dict[int, dict[tuple[str, Tenant], Counts]] = {}
        self._by_tenant: dict[int, dict[Tenant, Counts]] = {}
        self._sums: dict[int, Counts] = {}
        self._now_s = 0
        self.version = 0
        """Another one: something has changed."""

    def __len__(self) -> int:
        """How many counts are held."""
        told = sum(len(second) for second in self._told.values())
        return told + sum(len(second) for second in self._by_tenant.values()) + len(self._sums)

    def take(self, reporter: str, cells: Iterable[Cell], now_ms: int) -> None:
        """A report of the dispatcher `reporter`."""
        self.turn(now_ms)
        for cell in cells:
            if self._now_s - self._keep_s <= cell.second <= self._now_s + AHEAD_S:
                self._take(reporter, cell)

    def leave(self, reporter: str, now_ms: int) -> None:
        """Calls of `reporter` that have not ended tell nothing: nobody will say how they did."""
        self.turn(now_ms)
        for second, told in self._told.items():
            for (who, tenant), counts in list(told.items()):
                if who == reporter:
                    self._take(reporter, Cell(second, tenant, _untold(counts)))

    def turn(self, now_ms: int) -> None:
        """Forget what is too old."""
        now_s = now_ms // 1000
        if now_s <= self._now_s:
            return
        self._now_s = now_s
        self.version += 1
        for second in [second for second in self._by_tenant if second < now_s - self._keep_s]:
            del self._told[second], self._by_tenant[second]
        for second in [second for second in self._sums if second < now_s - FARTHEST_S]:
            del self._sums[second]

    def by_tenant(self, first_s: int, last_s: int) -> dict[Tenant, Counts]:
        """The calls started in these seconds, both included."""
        found: dict[Tenant, Counts] = {}
        for second in range(first_s, last_s + 1):
            for tenant, counts in self._by_tenant.get(second, {}).items():
                found[tenant] = plus(found.get(tenant, NONE), counts)
        return found

    def sums(self, first_s: int, last_s: int) -> Counts:
        """All calls started in these seconds, both included."""
        found = NONE
        for second in range(first_s, last_s + 1):
            if second in self._sums:
                found = plus(found, self._sums[second])
        return found

    def backwards(self, first_s: int) -> Iterator[tuple[int, Counts]]:
        """The seconds from the newest to `first_s` in which calls were started."""
        for second in sorted(self._sums, reverse=True):
            if second < first_s:
                return
            yield second, self._sums[second]

    def _take(self, reporter: str, cell: Cell) -> None:
        told = self._told.setdefault(cell.second, {})
        tenants = self._by_tenant.setdefault(cell.second, {})
        source = (reporter, cell.tenant)
        if source not in told and len(told) >= MOST_REPORTERS:
            return
        before = told.get(source, NONE)
        after = newer(before, cell.counts)
        if after == before:
            return
        told[source] = after
        grown = minus(after, before)
        tenants[cell.tenant] = plus(tenants.get(cell.tenant, NONE), grown)
        self._sums[cell.second] = plus(self._sums.get(cell.second, NONE), grown)
        self.version += 1


def _untold(counts: Counts) -> Counts:
    """As if those that have not ended had ended without telling anything."""
    return msgspec.structs.replace(
        counts,
        ended=counts.started,
        ignored=counts.ignored + counts.started - counts.ended,
        begun=counts.streams,
    )


def plus(one: Counts, other: Counts) -> Counts:
    """Both together."""
    return Counts(*(a + b for a, b in zip(astuple(one), astuple(other), strict=True)))


def minus(one: Counts, other: Counts) -> Counts:
    """What `one` has more."""
    return Counts(*(a - b for a, b in zip(astuple(one), astuple(other), strict=True)))


def newer(one: Counts, other: Counts) -> Counts:
    """What is known from two reports of the same calls."""
    return Counts(*(max(a, b) for a, b in zip(astuple(one), astuple(other), strict=True)))
