"""All breakers of an installation as their owner runs them: reports in, rows and transitions out. No I/O.

How it works. Evidence is kept by the dispatcher that told it. A row is to be published whenever it is
another one than before: after a transition, at each step of a ramp, when a probe is lent or has ended.
A dispatcher that has told of nothing for `GONE_MS` while calls of it were open is gone, and its calls
tell nothing any more: they would look as if they hung.
"""

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

import msgspec

from headrace.dispatcher.governor.breaker import machine
from headrace.dispatcher.governor.breaker.deployment import DeploymentBreaker
from headrace.dispatcher.governor.breaker.policy import BreakerPolicy
from headrace.dispatcher.governor.cooldown import Cooldown
from headrace.schemas.breakers import Row, State, Transition
from headrace.schemas.journal import ProcessId
from headrace.schemas.limits import Report
from headrace.schemas.names import DeploymentName
from headrace.schemas.outcomes import Outcomes, decode

WISH_MS: Final = 1_500
"""A wish for a probe is repeated several times in this time, or it is over."""
GONE_MS: Final = 10_000
"""Dispatchers with open calls report every second."""
CONFIGURED: Final = "configuration"
"""Who has set a state that the configuration asks for."""


class Order(NamedTuple):
    """What an operator has set, until that ends."""

    state: State | None
    """None: it decides again, as if nothing had been."""
    by: str
    at_ms: int


class House:
    """The breakers of `policies`, owned by `epoch`."""

    def __init__(
        self,
        epoch: int,
        policies: Mapping[DeploymentName, BreakerPolicy],
        rows: Mapping[DeploymentName, Row],
        usual: State,
    ) -> None:
        """`rows`: what the owners before this one said last. `usual`: the state where nobody set another."""
        self._usual = usual
        self._breakers = {
            name: DeploymentBreaker(name, epoch, policy, rows.get(name))
            for name, policy in policies.items()
        }
        self.rests: Callable[[DeploymentName], Cooldown] = lambda _: Cooldown()
        """The last rest of each, which its row tells as well."""
        self._published: dict[DeploymentName, tuple[machine.Breaker, float, Cooldown]] = {}
        self._wishes: dict[DeploymentName, dict[ProcessId, int]] = {}
        self._heard: dict[ProcessId, int] = {}
        self._reset_ms: dict[DeploymentName, int] = {}
        """The newest reset that was obeyed."""
        self.orders: Mapping[DeploymentName, Order] = {}
        """What operators have set; the next tick obeys it."""

    def hear(self, report: Report, stamp_ms: int) -> bool | None:
        """Take what a report tells; True if a tick should follow soon, None if it cannot be read."""
        outcomes = decode(report.outcomes)
        if outcomes is None:
            return None
        who = report.dispatcher
        if outcomes.calls:
            self._heard[who] = stamp_ms
        failures = self._take(who, outcomes, stamp_ms)
        for name, number, end in outcomes.ends:
            if name in self._breakers:
                self._breakers[name].end_probe(number, end)
        for name in outcomes.wants:
            if name in self._breakers:
                self._wishes.setdefault(name, {})[who] = stamp_ms
        return failures or bool(outcomes.ends or outcomes.wants)

    def tick(self, now_ms: int, roll: float) -> tuple[list[Row], list[Transition]]:
        """Let time pass; the rows that changed, and why."""
        self._forget(now_ms)
        moved: list[Transition] = []
        for name, breaker in self._breakers.items():
            transition = self._obey(name, breaker, now_ms) or breaker.tick(now_ms, roll)
            if transition is not None:
                moved.append(transition)
            if breaker.breaker.state is State.HALF_OPEN:
                self._lend(name, breaker, now_ms)
        return self._changed(now_ms), moved

    def restate(self) -> None:
        """What was published may not stand in the log: the next tick publishes all rows."""
        self._published.clear()

    def share(self, name: DeploymentName, now_ms: int) -> float:
        """Of the usual credits of a deployment that may be handed out; probes need theirs as well."""
        breaker = self._breakers.get(name)
        if breaker is None or breaker.breaker.state is State.HALF_OPEN:
            return 1.0
        return breaker.allowance(now_ms).share

    def _take(self, who: ProcessId, outcomes: Outcomes, stamp_ms: int) -> bool:
        failures = False
        for name, cells in outcomes.calls:
            breaker = self._breakers.get(name)
            if breaker is not None:
                breaker.report(who, cells, stamp_ms)
                bad = (cell.counts.failed + cell.counts.overloaded for cell in cells)
                failures = failures or any(bad) or any(c.counts.exhausted for c in cells)
        return failures

    def _obey(
        self, name: DeploymentName, breaker: DeploymentBreaker, now_ms: int
    ) -> Transition | None:
        """Be in the state that an operator has set, or else where the configuration wants it to begin."""
        order, there = self.orders.get(name), breaker.breaker
        if order is not None and order.state is not None:
            if (there.state, there.by) == (order.state, order.by):
                return None
            return breaker.order(order.state, order.by, now_ms)
        if order is not None and order.at_ms > max(there.since_ms, self._reset_ms.get(name, 0)):
            self._reset_ms[name] = order.at_ms
            return breaker.order(self._usual, order.by, now_ms)
        forced = there.state in machine.ORDERED and there.state is not State.CLOSED
        if there.state is self._usual or (self._usual is State.CLOSED and not forced):
            return None
        return breaker.order(self._usual, CONFIGURED, now_ms)

    def _lend(self, name: DeploymentName, breaker: DeploymentBreaker, now_ms: int) -> None:
        """One probe for each that wishes for one, whoever waits for longest first."""
        for who in sorted(self._wishes.get(name, {}), key=lambda one: self._wishes[name][one]):
            if breaker.lend_probe(who, now_ms) is None:
                return
            del self._wishes[name][who]

    def _changed(self, now_ms: int) -> list[Row]:
        rows: list[Row] = []
        for name, breaker in self._breakers.items():
            rest = self.rests(name)
            now = (breaker.breaker, breaker.allowance(now_ms).share, rest)
            if self._published.get(name) != now:
                self._published[name] = now
                rows.append(rested(breaker.row(now_ms), rest))
        return rows

    def _forget(self, now_ms: int) -> None:
        for wishes in self._wishes.values():
            for who in [who for who, at_ms in wishes.items() if now_ms - at_ms > WISH_MS]:
                del wishes[who]
        for who in [who for who, at_ms in self._heard.items() if now_ms - at_ms > GONE_MS]:
            del self._heard[who]
            for breaker in self._breakers.values():
                breaker.gone(who, now_ms)


def rested(row: Row, rest: Cooldown) -> Row:
    """A row with the deployment's last rest in it."""
    return msgspec.structs.replace(
        row, rest_began_ms=rest.began_ms, rest_until_ms=rest.until_ms, rest_times=rest.times
    )
