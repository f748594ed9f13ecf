"""A dispatcher's own calls of one deployment by the second of their start, as it reports them.

A plain answer's first byte comes when it is whole, so only streams are waited for and timed. An end
that comes when its second is no longer looked at, as that of a plain call which ran into its total
bound, is counted as a call of the present second: late, but seen.
"""

from typing import Final

import msgspec

from headrace.dispatcher.governor.breaker.policy import BreakerPolicy
from headrace.dispatcher.governor.effects import BreakerEffect
from headrace.schemas.cohorts import Cell, Counts
from headrace.schemas.names import Tenant

MOST_TENANTS: Final = 16
"""Tenants that are told apart in one second; more are one, `OTHERS`."""
OTHERS: Final = Tenant("*")


class Started(msgspec.Struct):
    """A call that was begun and has not ended."""

    at_ms: int
    tenant: Tenant
    stream: bool
    begun: bool = False


class Recorder:
    """Counts of the last `keep_s` seconds."""

    def __init__(self, policy: BreakerPolicy) -> None:
        self._keep_s = policy.keep_s
        self._slow_ms = policy.slow_ms
        self._counts: dict[tuple[int, Tenant], Counts] = {}
        self._changed_ms: dict[tuple[int, Tenant], int] = {}

    def start(self, tenant: Tenant, now_ms: int, *, stream: bool) -> Started:
        """A call is sent."""
        known = self._known(tenant, now_ms // 1000)
        call = Started(now_ms, known, stream)
        self._add(call, now_ms, started=1, streams=int(stream))
        return call

    def first_byte(self, call: Started, now_ms: int) -> None:
        """The first byte of its answer has come."""
        if call.begun or not call.stream:
            return
        call.begun = True
        slow = now_ms - call.at_ms > self._slow_ms
        self._add(call, now_ms, begun=1, slow=int(slow))

    def end(self, call: Started, effect: BreakerEffect, now_ms: int) -> None:
        """The call has ended, once."""
        if call.at_ms // 1000 < now_ms // 1000 - self._keep_s:
            call = self.start(call.tenant, now_ms, stream=False)
        if call.stream and not call.begun:
            call.begun = True
            self._add(call, now_ms, begun=1)
        match effect:
            case BreakerEffect.SUCCESS:
                self._add(call, now_ms, ended=1)
            case BreakerEffect.FAILURE:
                self._add(call, now_ms, ended=1, failed=1)
            case BreakerEffect.OVERLOAD:
                self._add(call, now_ms, ended=1, overloaded=1)
            case BreakerEffect.IGNORED:
                self._add(call, now_ms, ended=1, ignored=1)
            case BreakerEffect.EXHAUSTED:
                self._add(call, now_ms, ended=1, ignored=1, exhausted=1)

    def changed(self, since_ms: int) -> list[Cell]:
        """What has changed since then: a change that is told in several reports survives the loss of one."""
        return [
            Cell(second, tenant, self._counts[second, tenant])
            for (second, tenant), at_ms in self._changed_ms.items()
            if at_ms >= since_ms
        ]

    def forget(self, now_ms: int) -> None:
        """Let go of seconds that nobody looks at."""
        oldest_s = now_ms // 1000 - self._keep_s
        for place in [place for place in self._counts if place[0] < oldest_s]:
            del self._counts[place], self._changed_ms[place]

    def _known(self, tenant: Tenant, second: int) -> Tenant:
        if (second, tenant) in self._counts:
            return tenant
        there = sum(place[0] == second for place in self._counts)
        return tenant if there < MOST_TENANTS else OTHERS

    def _add(self, call: Started, now_ms: int, **counts: int) -> None:
        place = (call.at_ms // 1000, call.tenant)
        known = self._counts.get(place, Counts())
        grown = {name: getattr(known, name) + more for name, more in counts.items()}
        self._counts[place] = msgspec.structs.replace(known, **grown)
        self._changed_ms[place] = now_ms
