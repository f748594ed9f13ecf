"""A dispatcher on virtual time: queues, a holder, and calls that reach the upstream a little later."""

from collections import deque
from dataclasses import dataclass
from itertools import islice
from random import Random

import msgspec

from headrace.dispatcher.governor.holder import Holder, Ticket
from headrace.dispatcher.governor.queues import TOLD, merged
from headrace.dispatcher.governor.simulator.clock import Clock
from headrace.dispatcher.governor.simulator.log import Log
from headrace.dispatcher.governor.simulator.story import Story
from headrace.dispatcher.governor.simulator.upstream import Arrival, Upstream
from headrace.dispatcher.governor.simulator.witness import Witness
from headrace.dispatcher.overheard import Overheard
from headrace.dispatcher.ports import CallEnd
from headrace.schemas.journal import ProcessId
from headrace.schemas.limits import Command, Flow, Report, Units, Want
from headrace.schemas.names import RequestId
from headrace.schemas.tellings import encode

QUEUED = 64
"""What comes on top of that many is turned away."""


@dataclass(frozen=True, slots=True)
class Places:
    """What all processes of a run share."""

    story: Story
    clock: Clock
    rng: Random
    grants: Log[Command]
    reports: Log[Report]
    upstream: Upstream
    witness: Witness


class Dispatcher:
    """One process. Its clock began at a time of its own and runs a little wrong."""

    def __init__(self, places: Places, name: ProcessId) -> None:
        """Start; it reads grants from ten seconds ago on."""
        self.name = name
        self.alive = True
        self.frozen_until = 0
        self._places = places
        self._clock = places.clock
        self._rng = places.rng
        self._base = self._rng.randint(0, 10**9)
        self._drift = self._rng.randint(-places.story.drift_ppm, places.story.drift_ppm)
        self._queues: dict[Flow, deque[tuple[int, int, int]]] = {}
        self._calls: dict[Ticket, Arrival | None] = {}
        self._counts_calls = places.witness.seats or bool(places.story.settles)
        self._planned = 1 << 60
        self._heard = Overheard(places.story.adaptive)
        self.cut_until = 0
        self.holder = Holder(name, places.story.timing, self.mono())
        places.witness.join(self)
        position = len(places.grants.records) - len(places.grants.since(self._clock.now - 10_000))
        self._reader = places.grants.reader(self._take, position=position)
        self._plan()

    def mono(self) -> int:
        """Its own clock."""
        now = self._clock.now
        return self._base + now + now * self._drift // 1_000_000

    def kill(self) -> None:
        """Its connections break."""
        self.alive = False
        self._reader.closed = True
        self._hang_up(list(self._calls))

    def freeze(self, until: int) -> None:
        """It does nothing until then."""
        self.frozen_until = max(self.frozen_until, until)
        self._reader.blocked_until = max(self._reader.blocked_until, until)

    def cut(self, until: int) -> None:
        """It reads nothing and what it writes gets lost."""
        self.cut_until = max(self.cut_until, until)
        self._reader.blocked_until = max(self._reader.blocked_until, until)

    def ask(self, flow: Flow, tokens_in: int, tokens_out: int) -> None:
        """A request comes."""
        queue = self._queues.setdefault(flow, deque())
        if len(queue) < QUEUED:
            queue.append((tokens_in, tokens_out, self._clock.now))
        if len(queue) <= TOLD and self._clock.now >= self.frozen_until:
            self._serve(flow)
            self._plan()

    def rest(self) -> None:
        """Nobody asks for anything any more."""
        for flow, queue in self._queues.items():
            queue.clear()
            self.holder.want(flow, [], self.mono())
        self._plan()

    def _take(self, _stamp: int, command: Command) -> None:
        if self.holder.take(command, self.mono()):
            for flow, queue in self._queues.items():
                if queue:
                    self._serve(flow)
        self._cut_calls()
        self._plan()

    def _serve(self, flow: Flow) -> None:
        queue = self._queues[flow]
        while queue:
            tokens_in, tokens_out, since = queue[0]
            ticket = self.holder.spend(flow, tokens_in, tokens_out, self.mono())
            if ticket is None:
                break
            queue.popleft()
            self._places.witness.spent(self, ticket)
            self._send(ticket, since)
        self.holder.want(flow, _wants(queue), self.mono())

    def _send(self, ticket: Ticket, since: int) -> None:
        if self._counts_calls:
            self._calls[ticket] = None
        wait = self._rng.randint(0, self._places.story.send_ms)
        self._clock.at(self._clock.now + wait, self._arrive, ticket, since)

    def _arrive(self, ticket: Ticket, since: int) -> None:
        now, upstream = self._clock.now, self._places.upstream
        arrival = upstream.arrive(now, ticket.flow, ticket.units, now - since)
        if ticket in self._calls:
            self._calls[ticket] = arrival
            self._clock.at(now + self._rng.randint(*self._places.story.call_ms), self._end, ticket)
        else:
            upstream.leave(ticket.flow)

    def _end(self, ticket: Ticket) -> None:
        """The upstream has ended the call, and knows what it used."""
        arrival = self._calls.pop(ticket, None)
        if arrival is None:
            return
        now, unused = self._clock.now, 0
        self._places.upstream.leave(ticket.flow)
        if self._rng.random() < self._places.story.settles:
            unused = self._rng.randint(0, ticket.units.output)
            self._places.upstream.refund(now, arrival, unused)
            self._places.witness.refunded(ticket, unused)
        self._clock.at(max(now, self.frozen_until), self._settle, ticket, unused)

    def _settle(self, ticket: Ticket, unused: int) -> None:
        if self.alive:
            self._tell(ticket)
            _, tokens_in, tokens_out = ticket.units
            self.holder.settle(ticket, tokens_in, tokens_out - unused, self.mono())
            self.holder.release(ticket, self.mono())
            self._plan()

    def _tell(self, ticket: Ticket) -> None:
        """It took longer the more calls there were: what learns seats has something to do."""
        end, mono = CallEnd(status=200, first_s=0.05 * (1 + len(self._calls))), self.mono()
        self._heard.ended(
            ticket.flow.deployment, RequestId(""), end, began_ms=mono, mono_ms=mono, now_ms=mono
        )

    def _cut_calls(self) -> None:
        """Calls that have lost their seats are ended at once."""
        if self._calls and self._places.witness.seats:
            self._hang_up([one for one in self._calls if not self.holder.holds(one)])

    def _hang_up(self, tickets: list[Ticket]) -> None:
        """What has not arrived yet is still on its way, and then ended at once."""
        for ticket in tickets:
            if self._calls.pop(ticket) is not None:
                self._places.upstream.leave(ticket.flow)

    def _plan(self) -> None:
        due = self._clock.now + max(0, self.holder.due_ms() - self.mono())
        if due < self._planned:
            self._planned = due
            self._clock.at(due, self._report, due)

    def _report(self, planned: int) -> None:
        if planned != self._planned or not self.alive:
            return
        self._planned = 1 << 60
        now = self._clock.now
        if now < self.frozen_until:
            self._planned = self.frozen_until
            self._clock.at(self._planned, self._report, self._planned)
            return
        if self.holder.due_ms() <= self.mono():
            report = self.holder.report(self.mono())
            self._cut_calls()
            told = self._heard.tell(self.mono())
            if told:
                report = msgspec.structs.replace(report, headers=encode(told))
            if now >= self.cut_until:
                self._places.reports.write(report)
        self._plan()


def _wants(queue: deque[tuple[int, int, int]]) -> list[Want]:
    """The first of a queue."""
    return merged((since, Units(1, put, got)) for put, got, since in islice(queue, TOLD))
