"""A dispatcher's side of one partition: what it may spend, and what it tells the owner.

How it works. A grant counts if its epoch does, and lives `Timing.holder_ms` from the moment that the echoed
report was sent, by this dispatcher's own clock: that is always before the owner stops counting it. When the
newest grant has run out the session has *lapsed*: what it had is void, its seats are lost, and a new session
begins with nothing. So a dispatcher that is cut off spends what it has in hand until then, and nothing after.

No I/O. `now_ms` is monotonic, and runs on while the machine is suspended.
"""

from typing import Final, NamedTuple

from headrace.dispatcher.governor.epochs import Epochs
from headrace.dispatcher.governor.purse import Purse
from headrace.dispatcher.governor.queues import total
from headrace.dispatcher.governor.timing import MILLION, Timing
from headrace.schemas.journal import ProcessId, SessionId
from headrace.schemas.limits import Command, End, Flow, Grants, Report, SessionGrant, Units, Want

USUAL_MS: Final = 10_000
"""A flow in which something was sent this recently may have credits in reserve."""
URGENT_MS: Final = 20
"""Reports of what others wait for follow one another no closer than this."""


class Ticket(NamedTuple):
    """A request whose credits are spent: it may be sent now."""

    session: SessionId
    flow: Flow
    ordinal: int
    units: Units


class Holder:
    """Credits of one dispatcher in one partition."""

    def __init__(self, dispatcher: ProcessId, timing: Timing, now_ms: int) -> None:
        """`dispatcher` names a process and is never used again by another."""
        self._dispatcher = dispatcher
        self._timing = timing
        self._epochs = Epochs()
        self._purses: dict[Flow, Purse] = {}
        self._resting: dict[Flow, Purse] = {}
        """Of this session, with nothing in them; only their counters may still be needed."""
        self._number = 0
        self._seq = 0
        self._sent_ms: int | None = None
        self._changed = True
        self._urgent = False
        self._tidy_ms = now_ms
        self.lapses = 0
        self._valid_until_ms: int | None = None
        self._echo_ms: int | None = None
        self._open(now_ms)

    @property
    def session(self) -> SessionId:
        """The present one."""
        return self._session

    def take(self, command: Command, now_ms: int) -> bool:
        """Take the next record of the grants; True if more may be spent than before."""
        if not self._epochs.counts(command):
            return False
        more = False
        if isinstance(command, Grants):
            for told in command.sessions:
                if told.session == self._session:
                    more = self._merge(told, now_ms) or more
        elif isinstance(command, End) and command.session == self._session:
            self._lapse(now_ms)
        return not self.check(now_ms) and more

    def want(self, flow: Flow, queue: list[Want], now_ms: int, queued: int = 0) -> None:
        """The first requests of the flow's queue, in the order they are to be sent; `queued`: of so many."""
        purse = self._purse(flow, now_ms)
        purse.queued = queued
        short = bool(queue) and not purse.covers(total(queue))
        self._urgent = self._urgent or (short and not purse.short)
        purse.short = short
        if queue == purse.queue:
            return
        if not queue:
            purse.idle_ms = now_ms
        purse.queue = queue
        self._changed = True

    def spend(self, flow: Flow, tokens_in: int, tokens_out: int, now_ms: int) -> Ticket | None:
        """Spend one request's credits: called when its connection is held. None: it may not be sent."""
        purse = self._purses.get(flow)
        units = Units(1, tokens_in, tokens_out)
        if self.check(now_ms) or purse is None or not purse.covers(units):
            return None
        self._changed = True
        # What others wait for is in the ledger's window from its report on: no time is to be lost.
        self._urgent = self._urgent or purse.short
        return Ticket(self._session, flow, purse.spend(units, now_ms), units)

    def settle(self, ticket: Ticket, tokens_in: int, tokens_out: int, now_ms: int) -> None:
        """What the request really used. Not to be called where the provider refunds nothing."""
        difference = Units(0, ticket.units.input - tokens_in, ticket.units.output - tokens_out)
        if self.holds(ticket) and any(difference):
            self._purse(ticket.flow, now_ms).used(ticket.ordinal, difference, now_ms)
            self._changed = True

    def release(self, ticket: Ticket, now_ms: int) -> None:
        """The call is over, its seat is free; once for each ticket."""
        if self.holds(ticket):
            purse = self._purse(ticket.flow, now_ms)
            purse.ended += 1
            purse.changed_ms = now_ms
            self._changed = True
            self._urgent = self._urgent or purse.sought

    def holds(self, ticket: Ticket) -> bool:
        """Whether the call still has its seat. A call without one must be cut, if seats are limited."""
        return ticket.session == self._session

    def purse(self, flow: Flow) -> Purse:
        """What the session has of a flow, to look at; a new one has nothing."""
        return self._purse(flow, self._opened_ms)

    def check(self, now_ms: int) -> bool:
        """Whether nothing can be spent now; ends a session whose time is up."""
        if self._valid_until_ms is None:
            if now_ms - self._opened_ms >= self._timing.valid_ms:
                self._lapse(now_ms)
            return True
        if now_ms < self._valid_until_ms:
            return False
        self._lapse(now_ms)
        return True

    def lapse_ms(self) -> int:
        """When the session ends if no governor is heard of until then."""
        if self._valid_until_ms is None:
            return self._opened_ms + self._timing.valid_ms
        return self._valid_until_ms

    def due_ms(self) -> int:
        """When `report` is to be called next."""
        if self._sent_ms is None:
            return self._opened_ms
        if self._urgent:
            due_ms = self._sent_ms + URGENT_MS
        elif self._changed:
            due_ms = self._sent_ms + self._timing.tick_ms
        else:
            due_ms = self._sent_ms + self._promise_ms()
        if self._valid_until_ms is not None and self._valid_until_ms > self._sent_ms:
            # A lapse must not go unnoticed: calls that lose their seats are cut within the guard.
            due_ms = min(due_ms, self._valid_until_ms)
        return due_ms

    def close(self, now_ms: int) -> Report:
        """The last report: the process stops, its calls are over, it spends nothing any more."""
        self._valid_until_ms = now_ms
        for purse in self._purses.values():
            purse.close(now_ms)
        return self._report(now_ms, last=True)

    def report(self, now_ms: int) -> Report:
        """What is to be told now."""
        self.check(now_ms)
        for purse in self._purses.values():
            purse.renounce(now_ms, self._timing.idle_credit_ms)
        report = self._report(now_ms)
        self._put_away(now_ms)
        return report

    def _report(self, now_ms: int, *, last: bool = False) -> Report:
        echo_ms = self._opened_ms if self._echo_ms is None else self._echo_ms
        since_ms = now_ms - USUAL_MS
        flows = [
            purse.report(since_ms)
            for purse in self._purses.values()
            if purse.concerns(echo_ms, since_ms)
        ]
        self._seq += 1
        self._sent_ms = now_ms
        self._changed = self._urgent = False
        return Report(
            self._dispatcher,
            self._session,
            self._seq,
            now_ms,
            self._promise_ms(),
            self._epochs.current,
            flows,
            self._echo_ms is not None,
            last,
        )

    def _promise_ms(self) -> int:
        """Within this time it is heard of again."""
        busy = any(purse.queue or any(purse.credit()) for purse in self._purses.values())
        return self._timing.busy_report_ms if busy else self._timing.idle_report_ms

    def _open(self, now_ms: int) -> None:
        self._number += 1
        self._session = SessionId(f"{self._dispatcher}.{self._number}")
        self._opened_ms = now_ms
        self._echo_ms = self._valid_until_ms = None
        self._changed = True

    def _lapse(self, now_ms: int) -> None:
        self.lapses += 1
        self._open(now_ms)
        self._resting.clear()
        for purse in self._purses.values():
            purse.open(now_ms)

    def _merge(self, told: SessionGrant, now_ms: int) -> bool:
        if self._echo_ms is None or told.echo_mono_ms > self._echo_ms:
            self._echo_ms = told.echo_mono_ms
            for purse in self._purses.values():
                purse.heard(told.echo_mono_ms)
        drift_ms = -(-told.valid_ms * self._timing.drift_ppm // MILLION)
        self._valid_until_ms = max(
            self._valid_until_ms or 0, told.echo_mono_ms + told.valid_ms - drift_ms
        )
        more = [self._purse(flow.flow, now_ms).take(flow, now_ms) for flow in told.flows]
        return any(more)

    def _purse(self, flow: Flow, now_ms: int) -> Purse:
        purse = self._purses.get(flow)
        if purse is None:
            purse = self._resting.pop(flow, None) or Purse(flow, now_ms)
            self._purses[flow] = purse
        return purse

    def _put_away(self, now_ms: int) -> None:
        """Flows that nobody uses any more, and of which the owner knows all, are looked at no more."""
        if self._echo_ms is None or now_ms < self._tidy_ms:
            return
        self._tidy_ms = now_ms + USUAL_MS
        idle = [flow for flow, one in self._purses.items() if one.rests(self._echo_ms, now_ms)]
        for flow in idle:
            self._resting[flow] = self._purses.pop(flow)
