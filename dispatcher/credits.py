"""Credits of this process: what is promised to calls, spent by them, and wanted of the governor. No I/O.

How it works. A request that was dispatched has its credits *promised*; they are spent when its call has a
connection in hand, so that nothing lies between that and the sending. Of each flow the owner is told the
promised ones and the first of the queue, as far as there are seats for them in this process: credits without
one would be somebody else's. Flows of one deployment share its free seats evenly, anew with each report; who
gets nothing though it was asked for, as its own limit is used up, lets others go before it (`passed.py`).
Where the governor hands out seats, a credit in hand is a seat that nobody else has: without a free seat here
nothing is asked for, and calls whose seats went to others are cut. `now_ms` is monotonic.
"""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

from headrace.dispatcher.costs import Used
from headrace.dispatcher.flows import FlowQueues
from headrace.dispatcher.governed import Governed
from headrace.dispatcher.governor.account import minus, plus
from headrace.dispatcher.governor.holder import Holder, Ticket
from headrace.dispatcher.governor.queues import TOLD, merged
from headrace.dispatcher.passed import PassedOver
from headrace.dispatcher.seats import Seats
from headrace.dispatcher.waiting import Waiting
from headrace.schemas.limits import NOTHING, Command, Flow, Report, Units, Want


@dataclass(eq=False, slots=True)
class Promise:
    """One call's credits, from its dispatch to its end."""

    flow: Flow
    units: Units
    rank: int
    ticket: Ticket | None = None
    """Spent."""
    cut: Callable[[], None] = lambda: None
    """Ends its call."""


class _Promised:
    """Of one flow, in the order in which they were made."""

    __slots__ = ("promises", "units")

    def __init__(self) -> None:
        self.promises: dict[Promise, None] = {}
        self.units = NOTHING
        """Theirs together."""


class Credits:
    """What one process may spend, and what it asks for."""

    def __init__(
        self,
        holder: Holder,
        flows: FlowQueues,
        seats: Seats,
        governed: Governed,
    ) -> None:
        """In `flows` there may be others than those for governed deployments: of these nothing is told."""
        self._governed = governed
        self._holder = holder
        self._flows = flows
        self._seats = seats
        self._promised: defaultdict[Flow, _Promised] = defaultdict(_Promised)
        self._seated: set[Promise] = set()
        """Spent, of calls that hold seats."""
        self._shares: dict[Flow, int] = {}
        """How many queued requests of each flow are told of."""
        self._passed = PassedOver()
        self._now_ms = 0
        self._resting = False
        self.stirred: Callable[[], None] = lambda: None
        """Called when there may be something to report."""

    @property
    def lapses(self) -> int:
        """How often all credits became void, since no governor was heard of in time."""
        return self._holder.lapses

    def lapse_ms(self) -> int:
        """When they do, if no governor is heard of until then."""
        return self._holder.lapse_ms()

    def valid(self, now_ms: int) -> bool:
        """Whether anything may be spent now."""
        return not self._holder.check(now_ms)

    def covers(self, waiting: Waiting) -> bool:
        """Whether credits in hand that are promised to nobody suffice; they must be `valid`."""
        flow, units = waiting.flow, waiting.units
        if flow is None:
            return False
        promised = self._promised.get(flow)
        if promised is not None:
            units = plus(units, promised.units)
        return self._holder.purse(flow).covers(units)

    def promise(self, waiting: Waiting) -> Promise:
        """Set the credits of a request aside that is to be called; end with `close`."""
        if waiting.flow is None:
            raise ValueError("a request without a flow needs no credits")
        promise = Promise(waiting.flow, waiting.units, waiting.rank)
        promised = self._promised[promise.flow]
        promised.promises[promise] = None
        promised.units = plus(promised.units, promise.units)
        self._passed.promised(promise.flow)
        self._touch(promise.flow)
        return promise

    def spend(self, promise: Promise, now_ms: int) -> bool:
        """The call has its connection: whether it may be sent."""
        if promise.ticket is None:
            _, tokens_in, tokens_out = promise.units
            promise.ticket = self._holder.spend(promise.flow, tokens_in, tokens_out, now_ms)
            self._forget(promise)
            if promise.ticket is not None and self._governed.seated(promise.flow):
                self._seated.add(promise)
        return promise.ticket is not None

    def settle(self, promise: Promise, used: Used, now_ms: int) -> None:
        """What the call really used."""
        if promise.ticket is not None:
            self._holder.settle(promise.ticket, used.input, used.output, now_ms)
            self.stirred()

    def close(self, promise: Promise, now_ms: int) -> None:
        """The call is over, or was never made; once for each promise."""
        if promise.ticket is not None:
            self._holder.release(promise.ticket, now_ms)
            self._passed.ended(promise.flow)
        self._seated.discard(promise)
        self._forget(promise)

    def cut_lost(self) -> int:
        """After a lapse: end the calls whose seats are others' now; returns how many."""
        lost = [one for one in self._seated if one.ticket and not self._holder.holds(one.ticket)]
        self._seated.difference_update(lost)
        for promise in lost:
            promise.cut()
        return len(lost)

    def take(self, command: Command, now_ms: int) -> bool:
        """Take the next record of the grants; True if more may be spent than before."""
        more = self._holder.take(command, now_ms)
        self.stirred()
        return more

    def due_ms(self, now_ms: int) -> int:
        """When the next report is due."""
        self._now_ms = now_ms
        self._tell(now_ms)
        return self._holder.due_ms()

    def report(self, now_ms: int) -> Report:
        """What is to be told now."""
        self._now_ms = now_ms
        self._share_out()
        self._tell(now_ms)
        return self._holder.report(now_ms)

    def look_again(self) -> None:
        """Deployments were closed or opened, or limits changed: tell anew what is wanted."""
        for name in self._governed.deployments:
            self._flows.changed.update(self._flows.flows(name))
        self._flows.changed.update(self._promised)
        self.stirred()

    def rest(self) -> None:
        """Nothing more is dispatched: what is queued is not asked for any longer."""
        self._resting = True
        self._share_out()
        self.stirred()

    def last_report(self, now_ms: int) -> Report:
        """The process stops; its calls are over."""
        return self._holder.close(now_ms)

    def _touch(self, flow: Flow) -> None:
        self._flows.changed.add(flow)
        self.stirred()

    def _forget(self, promise: Promise) -> None:
        promised = self._promised.get(promise.flow)
        if promised is not None and promise in promised.promises:
            del promised.promises[promise]
            promised.units = minus(promised.units, promise.units)
            if not promised.promises:
                del self._promised[promise.flow]
        self._touch(promise.flow)

    def _share_out(self) -> None:
        self._passed.look(self._now_ms)
        shares: dict[Flow, int] = {}
        for name in self._flows.deployments():
            flows = self._flows.flows(name)
            room = {flow: self._seats.room(name, self._governed.part(flow)) for flow in flows}
            taken = 0
            for flow in self._passed.order(room):
                free = room[flow]
                share = max(1, free // len(flows))
                if self._resting or (free <= taken and self._governed.seated(flow)):
                    share = 0
                taken += share
                shares[flow] = min(TOLD, share)
        self._flows.changed.update(one for one in shares if shares[one] != self._shares.get(one))
        self._shares = shares
        closed = self._seats.closed
        told = (one for one, share in shares.items() if share and one.deployment not in closed)
        self._passed.asked(told, shares)

    def _tell(self, now_ms: int) -> None:
        changed = self._flows.changed
        while changed:
            flow = changed.pop()
            if flow.deployment in self._governed.deployments:
                self._holder.want(flow, self._wants(flow), now_ms, self._flows.length(flow))

    def _wants(self, flow: Flow) -> list[Want]:
        promised = self._promised.get(flow)
        sizes = [(one.rank, one.units) for one in promised.promises] if promised else []
        if flow.deployment in self._seats.closed:
            return merged(sizes)
        first = self._flows.first(flow, TOLD)
        if first and flow not in self._shares:
            self._share_out()
        sizes += [(one.rank, one.units) for one in first[: self._shares.get(flow, 0)]]
        return merged(sizes)
