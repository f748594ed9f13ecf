"""One flow's credits in the hands of a dispatcher."""

from typing import Final

from headrace.dispatcher.governor.account import greater, minus, plus
from headrace.dispatcher.governor.queues import total
from headrace.schemas.limits import NOTHING, Flow, FlowGrant, FlowReport, Refund, Units, Want

LONG_MS: Final = 60_000


class Purse:
    """Counters of one session. Times are the dispatcher's monotonic milliseconds."""

    __slots__ = (
        "_refunds",
        "changed_ms",
        "ended",
        "flow",
        "granted",
        "idle_ms",
        "keep",
        "queue",
        "queued",
        "renounced",
        "short",
        "size",
        "sought",
        "spent",
        "used_ms",
    )

    def __init__(self, flow: Flow, now_ms: int) -> None:
        """Nothing granted, nothing queued."""
        self.flow = flow
        self.queue: list[Want] = []
        self.queued = 0
        """Requests in all, of which `queue` has the first."""
        self.short = False
        """Whether credits in hand did not cover `queue` when either of them last grew."""
        self.size = NOTHING
        """Of the request that was sent last."""
        self.used_ms: int | None = None
        """When that was."""
        self.open(now_ms)

    def open(self, now_ms: int) -> None:
        """A new session begins: what the one before had is void."""
        self.granted = self.spent = self.renounced = NOTHING
        self.ended = 0
        self.keep = 0
        self.sought = False
        """Whether somebody waits for seats that its calls hold."""
        self.changed_ms = self.idle_ms = now_ms
        self._refunds: list[tuple[Refund, int]] = []

    def credit(self) -> Units:
        """What may be spent; below 0 where more tokens were used than granted."""
        return minus(self.granted, plus(self.spent, self.renounced))

    def covers(self, units: Units) -> bool:
        """Whether `units` may be spent."""
        spent, renounced, granted = self.spent, self.renounced, self.granted
        return (
            spent[0] + renounced[0] + units[0] <= granted[0]
            and spent[1] + renounced[1] + units[1] <= granted[1]
            and spent[2] + renounced[2] + units[2] <= granted[2]
        )

    def spend(self, units: Units, now_ms: int) -> int:
        """Take `units` out; returns the ordinal of the request."""
        self.spent = plus(self.spent, units)
        self.size = units
        self.used_ms = self.idle_ms = self.changed_ms = now_ms
        return self.spent.requests

    def take(self, told: FlowGrant, now_ms: int) -> bool:
        """What the owner states; True if that is more than before."""
        self.keep = told.keep
        self.sought = told.sought
        if (told.spent, told.renounced, told.ended) != (self.spent, self.renounced, self.ended):
            # A successor may know less than the owner did that heard of it.
            self.changed_ms = now_ms
        granted = greater(self.granted, told.granted)
        if granted == self.granted:
            return False
        self.granted = granted
        self.short = self.short and not self.covers(total(self.queue))
        self.idle_ms = now_ms
        return True

    def used(self, ordinal: int, difference: Units, now_ms: int) -> None:
        """A request used so much less (below 0: more) than was reserved for it."""
        less, more = greater(difference, NOTHING), greater(minus(NOTHING, difference), NOTHING)
        if any(less):
            self._refunds.append((Refund(ordinal, less.input, less.output), now_ms))
        if any(more):
            self.spent = plus(self.spent, more)
        self.changed_ms = now_ms

    def renounce(self, now_ms: int, idle_credit_ms: int) -> bool:
        """Give back what has been idle, beyond the reserve; True if that was anything."""
        if self.queue or now_ms - self.idle_ms < idle_credit_ms:
            return False
        kept = Units(*(self.keep * amount for amount in self.size))
        idle = greater(minus(greater(self.credit(), NOTHING), kept), NOTHING)
        if not any(idle):
            return False
        self.renounced = plus(self.renounced, idle)
        self.changed_ms = now_ms
        return True

    def close(self, now_ms: int) -> None:
        """Give everything back."""
        self.queue = []
        self.renounced = plus(self.renounced, greater(self.credit(), NOTHING))
        self.changed_ms = now_ms

    def heard(self, echo_ms: int) -> None:
        """The owner has heard a report that was sent at `echo_ms`."""
        if self._refunds:
            self._refunds = [one for one in self._refunds if one[1] >= echo_ms]

    def concerns(self, echo_ms: int, since_ms: int) -> bool:
        """Whether the owner must be told of it; `since_ms`: use before that is long ago."""
        return bool(
            self.queue
            or self.changed_ms >= echo_ms
            or any(self.credit())
            or self.spent.requests > self.ended
            or self._refunds
            or self._in_use_since(since_ms)
        )

    def rests(self, echo_ms: int, now_ms: int) -> bool:
        """Whether nothing is in it, in use or to be told, and has not been for long."""
        calls = self.spent.requests - self.ended
        return calls == 0 and not self.concerns(echo_ms, now_ms - LONG_MS)

    def report(self, since_ms: int) -> FlowReport:
        """As it is told to the owner."""
        usual = self.size if self._in_use_since(since_ms) else None
        refunds = [refund for refund, _ in self._refunds]
        return FlowReport(
            *(self.flow, self.spent, self.renounced, self.ended),
            *(self.queue, usual, refunds, self.queued),
        )

    def _in_use_since(self, since_ms: int) -> bool:
        return self.used_ms is not None and self.used_ms >= since_ms
