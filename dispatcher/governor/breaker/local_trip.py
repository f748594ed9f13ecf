"""A dispatcher's own, short refusal, until the owner has heard of it.

Only what is beyond doubt counts: the upstream could not be reached, or answered 5xx. As everywhere,
failures are held against the calls that were started: when traffic begins, errors come back first.
"""

from dataclasses import dataclass

import msgspec

from headrace.dispatcher.governor.effects import BreakerEffect, effects_of
from headrace.dispatcher.ports import Break, CallEnd


@dataclass(frozen=True, slots=True)
class LocalTripPolicy:
    """How many failures in a row, and for how long it may refuse on its own."""

    failures: int = 5
    others: int = 2
    """Failures of other requests in a row that show a request's own to be no fault of its own."""
    share: float = 0.5
    """Of the calls started since the last good one."""
    refuse_ms: int = 100
    """Also between two calls from then on. To refuse all for longer would hide from the owner what it must
    see: a few dispatchers with little traffic would open later, after more failures."""

    def __post_init__(self) -> None:
        """Refuse what would trip over nothing, or outlast the owner's word."""
        if self.failures < 1 or not 0 <= self.share <= 1 or not 0 < self.refuse_ms <= 3_000:
            raise ValueError("at least one failure, a share up to 1, and 3 s at most")


class LocalTrip(msgspec.Struct, frozen=True):
    """Calls since the last good one, and until when all are refused."""

    started: int = 0
    failed: int = 0
    refused_until_ms: int = 0
    failing_ms: int = 0
    """When the first failure since then ended; 0: there was none."""

    def refuses(self, now_ms: int) -> bool:
        """Whether a call should not be made now."""
        return now_ms < self.refused_until_ms

    def excuses(self, own: int, policy: LocalTripPolicy) -> bool:
        """Whether nothing has worked for others either since the last good call; `own` of the failures
        may be those of the request that asks.
        """
        return _fails(self, own + policy.others, policy)

    def after_start(self) -> "LocalTrip":
        """A call is sent."""
        return msgspec.structs.replace(self, started=self.started + 1)

    def after_end(
        self, end: CallEnd | None, began_ms: int, now_ms: int, policy: LocalTripPolicy
    ) -> "LocalTrip":
        """A call has ended; None: it was aborted.

        A good one that began before the first failure says nothing: long calls end well in an outage, too.
        """
        if effects_of(end).breaker is BreakerEffect.SUCCESS:
            if began_ms < self.failing_ms:
                return self
            return LocalTrip(refused_until_ms=self.refused_until_ms)
        if end is None or not _beyond_doubt(end):
            return self
        failing_ms = self.failing_ms or now_ms
        after = msgspec.structs.replace(self, failed=self.failed + 1, failing_ms=failing_ms)
        if _fails(after, policy.failures, policy):
            return LocalTrip(refused_until_ms=now_ms + policy.refuse_ms, failing_ms=failing_ms)
        return after


def _fails(trip: LocalTrip, least: int, policy: LocalTripPolicy) -> bool:
    return trip.failed >= max(least, policy.share * trip.started)


def _beyond_doubt(end: CallEnd) -> bool:
    if effects_of(end).breaker is not BreakerEffect.FAILURE:
        return False
    return end.broken is Break.NOT_SENT or (end.broken is None and end.status >= 500)
