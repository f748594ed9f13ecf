"""One deployment's breaker as its owner runs it: reports in, transitions and rows out. No I/O.

A successor builds it from the last row that stands in the log and from the reports of the last
`keep_s` seconds, and decides as its predecessor would have.
"""

from collections.abc import Iterable

import msgspec

from headrace.dispatcher.governor.breaker import machine
from headrace.dispatcher.governor.breaker.cohorts import Cohorts
from headrace.dispatcher.governor.breaker.machine import Allowance, Breaker
from headrace.dispatcher.governor.breaker.policy import BreakerPolicy
from headrace.dispatcher.governor.breaker.rules import Finding, judge
from headrace.schemas.breakers import Probe, ProbeEnd, Row, State, Transition
from headrace.schemas.cohorts import Cell
from headrace.schemas.names import DeploymentName


class DeploymentBreaker:
    """The breaker of `deployment`, owned by `epoch`."""

    def __init__(
        self,
        deployment: DeploymentName,
        epoch: int,
        policy: BreakerPolicy,
        row: Row | None = None,
    ) -> None:
        """`row`: what the owner before this one said last."""
        self.deployment = deployment
        self.epoch = epoch
        self.breaker = Breaker() if row is None else breaker_of(row)
        self.transitions = 0
        self._policy = policy
        self._cohorts = Cohorts(policy)
        self._judged = (-1, -1)

    def report(self, reporter: str, cells: Iterable[Cell], now_ms: int) -> None:
        """Take a report of the dispatcher `reporter`."""
        if self.breaker.state is not State.DISABLED:
            self._cohorts.take(reporter, cells, now_ms)

    def gone(self, reporter: str, now_ms: int) -> None:
        """Nothing more is heard of a dispatcher: what it had not ended tells nothing."""
        self._cohorts.leave(reporter, now_ms)

    def tick(self, now_ms: int, roll: float) -> Transition | None:
        """Let time pass and the rules judge; at most one transition, the next at the next tick."""
        finding = self._finding(now_ms) if self.breaker.state in machine.JUDGED else None
        return self._to(machine.tick(self.breaker, finding, now_ms, roll, self._policy), now_ms)

    def lend_probe(self, holder: str, now_ms: int) -> Probe | None:
        """A probe for a session that has a request to send; the row has changed if there is one."""
        self.breaker, probe = machine.lend_probe(self.breaker, holder, now_ms, self._policy)
        return probe

    def end_probe(self, number: int, end: ProbeEnd) -> None:
        """A probe has ended; the next tick draws the conclusion."""
        self.breaker = machine.end_probe(self.breaker, number, end)

    def order(self, state: State, by: str, now_ms: int) -> Transition | None:
        """An operator sets a state of `machine.ORDERED`. Raises `ValueError` for any other."""
        return self._to(machine.order(self.breaker, state, by, now_ms), now_ms)

    def allowance(self, now_ms: int) -> Allowance:
        """What may be handed out."""
        return machine.allowance(self.breaker, now_ms, self._policy)

    def row(self, now_ms: int) -> Row:
        """What to publish: after each transition, each step of the ramp, and each probe lent or ended."""
        return Row(
            deployment=self.deployment,
            epoch=self.epoch,
            share=self.allowance(now_ms).share,
            **msgspec.structs.asdict(self.breaker),
        )

    def _finding(self, now_ms: int) -> Finding | None:
        """What the rules say; they are asked again only when there is something new."""
        self._cohorts.turn(now_ms)
        judged = (self._cohorts.version, self.breaker.evidence_from_ms)
        if judged == self._judged:
            return None
        self._judged = judged
        return judge(self._cohorts, self.breaker.evidence_from_ms, now_ms, self._policy)

    def _to(self, after: Breaker, now_ms: int) -> Transition | None:
        before, self.breaker = self.breaker, after
        if (before.state, before.since_ms) == (after.state, after.since_ms):
            return None
        self.transitions += 1
        return Transition(
            deployment=self.deployment,
            epoch=self.epoch,
            number=self.transitions,
            at_ms=now_ms,
            before=before.state,
            after=after.state,
            why=after.why,
            trips=after.trips,
            open_until_ms=after.open_until_ms,
            figures=after.figures,
            by=after.by,
        )


def breaker_of(row: Row) -> Breaker:
    """The breaker that a row tells of."""
    return Breaker(**{name: getattr(row, name) for name in Breaker.__struct_fields__})
