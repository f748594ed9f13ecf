"""A dispatcher's own calls of one deployment by the second of their start, as it reports them.

A plain answer's first byte comes when it is whole, so only streams are waited for and timed. An end
that comes when its second is no longer looked at, as that of a plain call which ran into its total
bound, is counted as a call of the present second: late, but seen.

It stands in the way of each call, so counts are plain fields that are added to, one object for each
second and tenant, and a call keeps hold of its own.
"""

from dataclasses import dataclass
from typing import Final

from headrace.dispatcher.governor.breaker.policy import BreakerPolicy
from headrace.dispatcher.governor.effects import BreakerEffect
from headrace.schemas.cohorts import Cell, Counts
from headrace.schemas.names import Tenant

MOST_TENANTS: Final = 16
"""Tenants that are told apart in one second; more are one, `OTHERS`."""
OTHERS: Final = Tenant("*")


@dataclass(slots=True, eq=False)
class Tally:
    """`Counts` of one second and tenant, while they grow."""

    second: int
    tenant: Tenant
    changed_ms: int
    started: int = 0
    ended: int = 0
    failed: int = 0
    overloaded: int = 0
    ignored: int = 0
    exhausted: int = 0
    streams: int = 0
    begun: int = 0
    slow: int = 0

    def cell(self) -> Cell:
        """As it is reported."""
        counts = Counts(
            started=self.started,
            ended=self.ended,
            failed=self.failed,
            overloaded=self.overloaded,
            ignored=self.ignored,
            exhausted=self.exhausted,
            streams=self.streams,
            begun=self.begun,
            slow=self.slow,
        )
        return Cell(self.second, self.tenant, counts)


@dataclass(slots=True, eq=False)
class Started:
    """A call that was begun and has not ended."""

    at_ms: int
    tally: Tally
    stream: bool
    begun: bool = False


class Recorder:
    """Counts of the last `keep_s` seconds."""

    def __init__(self, policy: BreakerPolicy) -> None:
        self._keep_s = policy.keep_s
        self._slow_ms = policy.slow_ms
        self._tallies: dict[int, dict[Tenant, Tally]] = {}
        self.open = 0
        """Calls that have not ended."""
        self.changed_ms = -1
        """When anything changed last."""

    def start(self, tenant: Tenant, now_ms: int, *, stream: bool) -> Started:
        """A call is sent."""
        tally = self._tally(tenant, now_ms)
        tally.started += 1
        tally.streams += stream
        self.open += 1
        return Started(now_ms, tally, stream)

    def first_byte(self, call: Started, now_ms: int) -> None:
        """The first byte of its answer has come."""
        if call.begun or not call.stream:
            return
        call.begun = True
        tally = call.tally
        tally.begun += 1
        tally.slow += now_ms - call.at_ms > self._slow_ms
        tally.changed_ms = self.changed_ms = now_ms

    def end(self, call: Started, effect: BreakerEffect, now_ms: int) -> None:
        """The call has ended, once."""
        self.open -= 1
        tally = call.tally
        if tally.second < now_ms // 1000 - self._keep_s:
            tally = self._tally(tally.tenant, now_ms)
            tally.started += 1
        elif call.stream and not call.begun:
            call.begun = True
            tally.begun += 1
        tally.ended += 1
        tally.changed_ms = self.changed_ms = now_ms
        match effect:
            case BreakerEffect.FAILURE:
                tally.failed += 1
            case BreakerEffect.OVERLOAD:
                tally.overloaded += 1
            case BreakerEffect.IGNORED:
                tally.ignored += 1
            case BreakerEffect.EXHAUSTED:
                tally.ignored += 1
                tally.exhausted += 1

    def changed(self, since_ms: int) -> list[Cell]:
        """What has changed since then: a change that is told in several reports survives the loss of one."""
        return [
            tally.cell()
            for tenants in self._tallies.values()
            for tally in tenants.values()
            if tally.changed_ms >= since_ms
        ]

    def forget(self, now_ms: int) -> None:
        """Let go of seconds that nobody looks at."""
        oldest_s = now_ms // 1000 - self._keep_s
        for second in [second for second in self._tallies if second < oldest_s]:
            del self._tallies[second]

    def _tally(self, tenant: Tenant, now_ms: int) -> Tally:
        second = now_ms // 1000
        tenants = self._tallies.get(second)
        if tenants is None:
            tenants = self._tallies[second] = {}
        tally = tenants.get(tenant)
        if tally is None:
            name = tenant if len(tenants) < MOST_TENANTS else OTHERS
            tally = tenants.get(name)
            if tally is None:
                tally = tenants[name] = Tally(second, name, now_ms)
        tally.changed_ms = self.changed_ms = now_ms
        return tally
