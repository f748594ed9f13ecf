"""One who knows everything, and checks at every event what must hold.

- a dispatcher spends no more than effective records in the log grant it, and nothing after they ran out;
- what is outstanding anywhere and what was spent within a window is never more than the limit;
- a successor that reads the log charges at least that much;
- when nobody asks any more, all credits and seats come back.

It folds the log by itself, so that a mistake in the product's own fold does not hide here too.
"""

from collections import deque
from dataclasses import dataclass
from typing import Protocol

from headrace.dispatcher.governor.account import greater, minus, plus
from headrace.dispatcher.governor.holder import Holder, Ticket
from headrace.dispatcher.governor.ledger import Ledger
from headrace.dispatcher.governor.simulator.clock import Clock
from headrace.dispatcher.governor.simulator.upstream import Upstream
from headrace.dispatcher.governor.timing import Timing
from headrace.dispatcher.governor.tree import Dimension, Scope
from headrace.schemas.journal import SessionId
from headrace.schemas.limits import NOTHING, Claim, Command, Flow, Grants, SessionGrant, Units

ENOUGH = 20
"""Violations of a run that are kept."""


@dataclass(slots=True)
class Spent:
    """One request's credits, at the moment they were spent."""

    at_ms: int
    flow: Flow
    units: Units


class Process(Protocol):
    """A dispatcher, as far as the witness looks into it."""

    alive: bool
    holder: Holder

    def mono(self) -> int:
        """Its own clock."""


class Witness:
    """The log's truth, folded as it is written, beside what dispatchers do."""

    def __init__(self, clock: Clock, upstream: Upstream, timing: Timing, *, seats: bool) -> None:
        """Nothing was written."""
        self.violations: list[str] = []
        self.seats = seats
        self.claims = 0
        self._clock = clock
        self._upstream = upstream
        self._timing = timing
        self.epoch = 0
        self._processes: list[Process] = []
        self._granted: dict[SessionId, dict[Flow, Units]] = {}
        self._spent: dict[SessionId, dict[Flow, Units]] = {}
        self._echo: dict[SessionId, int] = {}
        self._recent: deque[Spent] = deque()
        self._by_ticket: dict[Ticket, Spent] = {}
        self._longest = max(window.scope.window_ms for window in upstream.windows)

    def join(self, process: Process) -> None:
        """A dispatcher starts."""
        self._processes.append(process)

    def wrote(self, command: Command) -> None:
        """A record stands in the grants' log."""
        newer = command.epoch > self.epoch
        if command.epoch < self.epoch or (isinstance(command, Claim) and not newer):
            return
        self.epoch = command.epoch
        if not isinstance(command, Grants):
            self.claims += isinstance(command, Claim)
            return
        for told in command.sessions:
            echo = self._echo.get(told.session)
            if echo is None or told.echo_mono_ms > echo:
                self._echo[told.session] = told.echo_mono_ms
            self._merge(told)
        self.look()

    def wiped(self) -> None:
        """The log was made anew, and with it the order of epochs."""
        self.epoch = 0

    def spent(self, process: Process, ticket: Ticket) -> None:
        """A dispatcher has spent credits."""
        flows = self._spent.setdefault(ticket.session, {})
        flows[ticket.flow] = plus(flows.get(ticket.flow, NOTHING), ticket.units)
        spent = Spent(self._clock.now, ticket.flow, ticket.units)
        self._recent.append(spent)
        self._by_ticket[ticket] = spent
        granted = self._granted.get(ticket.session, {}).get(ticket.flow, NOTHING)
        purse = process.holder.purse(ticket.flow)
        used = plus(flows[ticket.flow], purse.renounced)
        if any(more > most for more, most in zip(used, granted, strict=True)):
            self._tell(f"spent {used} of {granted} in {ticket.session}")
        until = self._echo.get(ticket.session, -(10**9)) + self._timing.holder_ms
        if process.mono() >= until:
            self._tell(f"spent in {ticket.session} after {until}")

    def refunded(self, ticket: Ticket, output: int) -> None:
        """A call used so much less than was reserved for it."""
        spent = self._by_ticket[ticket]
        spent.units = minus(spent.units, Units(0, 0, output))

    def look(self) -> None:
        """Outstanding anywhere and spent within the window: at most the limit."""
        now = self._clock.now
        while self._recent and self._recent[0].at_ms <= now - self._longest:
            self._recent.popleft()
        left = self._outstanding()
        for window in self._upstream.windows:
            open_, total = self._totals(window.scope, left)
            counts = {
                Dimension.REQUESTS: total.requests,
                Dimension.INPUT_TOKENS: total.input,
                Dimension.OUTPUT_TOKENS: total.output,
                Dimension.TOTAL_TOKENS: total.input + total.output,
                Dimension.SEATS: open_.requests + window.held,
            }
            for dimension, allowed in window.allowed.items():
                if counts[dimension] > allowed:
                    what = f"{counts[dimension]} {dimension} outstanding or spent"
                    self._tell(f"{what} in {window.scope.name}, limit {allowed}")

    def _totals(self, scope: Scope, left: dict[Flow, Units]) -> tuple[Units, Units]:
        """What is outstanding in a scope, and that with what was spent within its window."""
        open_ = NOTHING
        for flow, units in left.items():
            if scope.holds(flow):
                open_ = plus(open_, units)
        total, begins = open_, self._clock.now - scope.window_ms
        for spent in self._recent:
            if spent.at_ms > begins and scope.holds(spent.flow):
                total = plus(total, spent.units)
        return open_, total

    def succeeded(self, ledger: Ledger) -> None:
        """A new owner has read the logs: it must charge all that there is."""
        left = self._outstanding()
        for node in ledger.nodes:
            least = self._totals(node.scope, left)[1].requests
            charged = node.open_requests + node.sent_requests
            if charged < least:
                self._tell(f"a successor charges {charged} of {least} in {node.scope.name}")

    def rested(self, ledger: Ledger) -> None:
        """Nobody has asked for anything for long: all must have come back."""
        for node in ledger.nodes:
            seats = node.in_use if self.seats else 0
            if node.open_requests or seats:
                what = f"{node.open_requests} credits and {seats} seats"
                self._tell(f"{what} did not come back in {node.scope.name}")

    def _outstanding(self) -> dict[Flow, Units]:
        """What can still be spent, by all who live, with all that stands in the log."""
        left: dict[Flow, Units] = {}
        for process in self._processes:
            session = process.holder.session
            echo = self._echo.get(session)
            if not process.alive or echo is None:
                continue
            if process.mono() >= echo + self._timing.holder_ms:
                continue
            spent = self._spent.get(session, {})
            for flow, granted in self._granted[session].items():
                used = plus(spent.get(flow, NOTHING), process.holder.purse(flow).renounced)
                rest = greater(minus(granted, used), NOTHING)
                left[flow] = plus(left.get(flow, NOTHING), rest)
        return left

    def _merge(self, told: SessionGrant) -> None:
        flows = self._granted.setdefault(told.session, {})
        for flow in told.flows:
            flows[flow.flow] = greater(flows.get(flow.flow, NOTHING), flow.granted)

    def _tell(self, what: str) -> None:
        if len(self.violations) < ENOUGH:
            self.violations.append(f"{self._clock.now} {what}")
