"""One deployment's breaker in this process: the owner's row is the law, and a short restraint of its own.

How it works. OPEN lets nothing through, HALF_OPEN only what a probe was lent for, RAMP a share of the
requests, chosen by their ids, so that a request that is refused waits for the next step or goes elsewhere,
and is not diced for again and again. A deployment that rests since it turned calls away is let alone in any
state, and then begun slowly in the same way.

A process that sees nothing but failures, before the owner has spoken, calls seldom and repeats nothing there.

Without an owner that lives nobody would ever write the next row, so a row holds for a time only: OPEN for
twice as long as it was to last, HALF_OPEN until a probe that was asked for did not come for `SILENT_MS`
after the last one that is out has expired, RAMP for twice its length. Then the deployment is called again,
a growing share first. What an operator forced holds until an operator lifts it.

No I/O. `now_ms` is broker time.
"""

from typing import Final
from zlib import crc32

from headrace.dispatcher.governor.breaker.local_trip import LocalTrip, LocalTripPolicy
from headrace.dispatcher.governor.breaker.policy import BreakerPolicy
from headrace.dispatcher.governor.breaker.recorder import Recorder
from headrace.dispatcher.governor.cooldown import Cooldown, CooldownPolicy, pace
from headrace.dispatcher.governor.effects import BreakerEffect
from headrace.dispatcher.ports import CallEnd
from headrace.schemas.breakers import Probe, ProbeEnd, Row, State
from headrace.schemas.journal import ProcessId
from headrace.schemas.names import DeploymentName, RequestId

SILENT_MS: Final = 10_000
"""An owner that lives answers within a second, and a takeover takes three."""
LEAST_GRACE_MS: Final = 5_000
WISH_MS: Final = 2_000
"""A wish for a probe that was not repeated within this time is over; so is a probe that nobody used."""
AGAIN_MS: Final = 1_000
"""How soon a request looks again that is refused for no certain time."""
SPOKEN_MS: Final = 5_000
"""An owner that sees an outage has said so within this time."""
FORCED_MS: Final = 10_000
"""How soon it does where an operator forced the breaker open."""
OBEYED: Final = frozenset({State.OPEN, State.FORCED_OPEN, State.HALF_OPEN, State.RAMP})
"""States in which something is refused."""
FAILURES: Final = frozenset(
    {BreakerEffect.FAILURE, BreakerEffect.OVERLOAD, BreakerEffect.EXHAUSTED}
)
_RESTRAINED: Final = frozenset({State.CLOSED, State.RAMP})
"""Where a process may hold calls back of its own accord."""
_SLICES: Final = 10_000
LOCAL: Final = LocalTripPolicy()
_REST: Final = CooldownPolicy()


class Switch:
    """What this process may send to `deployment`."""

    def __init__(
        self, deployment: DeploymentName, own: ProcessId, policy: BreakerPolicy, *, enforced: bool
    ) -> None:
        """Without `enforced` this process refuses nothing of its own accord."""
        self.deployment = deployment
        self.recorder = Recorder(policy)
        self.row: Row | None = None
        self.ends: dict[int, ProbeEnd] = {}
        """How own probes ended, of which the row does not tell yet."""
        self._trial_ms = self._failing_until_ms = 0
        """Too many calls failed in a row, and none was good since: until the owner must have spoken."""
        self.trips = 0
        """How often this process refused of its own accord."""
        self._own = own
        self._policy = policy
        self._enforced = enforced
        self._trip = LocalTrip()
        self._worked_ms = 0
        """When the youngest call that ended well began."""
        self._used: set[int] = set()
        self._lent_ms: dict[int, int] = {}
        """When own probes were first seen."""
        self._rest = Cooldown()
        """The last one that the upstream has asked for, by turning calls away."""
        self._wish_ms = self._wished_ms = 0
        """Since when a probe is wished for, and when it was wished for last."""

    @property
    def state(self) -> State:
        """As its owner said last."""
        return State.CLOSED if self.row is None else self.row.state

    def obey(self, row: Row, now_ms: int) -> None:
        """The owner's newest word."""
        self.row = row
        pending = {probe.number for probe in row.probes if probe.end is None}
        self.ends = {number: end for number, end in self.ends.items() if number in pending}
        self._used &= pending
        self._lent_ms = {
            probe.number: self._lent_ms.get(probe.number, now_ms)
            for probe in row.probes
            if probe.end is None and probe.holder == self._own
        }
        self._wish_ms = 0
        self._rest = Cooldown(row.rest_began_ms, row.rest_until_ms, row.rest_times)

    def refuses_some(self, now_ms: int) -> bool:
        """Whether there is anything to look at before a call."""
        return self.state in OBEYED or self.failing(now_ms) or self._pace(now_ms) < 1

    def lets(self, request: RequestId, now_ms: int) -> bool:
        """Whether this request may be sent there now."""
        pace = self._pace(now_ms)
        share = pace * self.share(now_ms)
        if share <= 0:
            return pace > 0 and self.probe(now_ms) is not None
        return share >= 1 or crc32(request.encode()) % _SLICES < share * _SLICES

    def lets_any(self, now_ms: int) -> bool:
        """Whether any request may be sent there now; one that wants to be is a wish for a probe."""
        if self._pace(now_ms) <= 0:
            return False
        if self.share(now_ms) > 0 or self.probe(now_ms) is not None:
            return True
        self._wish(now_ms)
        return False

    def share(self, now_ms: int) -> float:
        """Of the requests that may be sent there; 0: at most those with a probe."""
        row = self.row
        if self._holds_back(now_ms):
            return 0.0
        if row is None:
            return 1.0
        match row.state:
            case State.OPEN:
                lasts_ms = max(row.open_until_ms - row.since_ms, LEAST_GRACE_MS)
                return self._unowned(row.open_until_ms + lasts_ms, now_ms)
            case State.HALF_OPEN:
                return self._unowned(self._given_up_ms(row), now_ms)
            case State.RAMP:
                lasts_ms = 2 * len(self._policy.ramp) * self._policy.ramp_step_ms
                return 1.0 if now_ms >= row.since_ms + lasts_ms else row.share
        return 0.0 if row.state is State.FORCED_OPEN else 1.0

    def until_ms(self, now_ms: int) -> int:
        """When a request that is refused now should look again."""
        row, rest_ms = self.row, self._rest.until_ms
        if now_ms < rest_ms and self._pace(now_ms) <= 0:
            return max(rest_ms, row.open_until_ms if row is not None else 0)
        if row is not None and row.state is State.OPEN and now_ms < row.open_until_ms:
            return row.open_until_ms
        if row is not None and row.state is State.FORCED_OPEN:
            return now_ms + FORCED_MS
        return now_ms + AGAIN_MS

    def probe(self, now_ms: int) -> Probe | None:
        """A probe that was lent to this process and is not used."""
        row = self.row
        if row is None or row.state is not State.HALF_OPEN:
            return None
        for probe in row.probes:
            free = probe.number not in self._used and probe.number not in self.ends
            if (
                free
                and probe.holder == self._own
                and probe.end is None
                and now_ms < probe.expires_ms
            ):
                return probe
        return None

    def use(self, probe: Probe) -> None:
        """A request goes with this one."""
        self._used.add(probe.number)

    def wishes(self, now_ms: int) -> bool:
        """Whether the owner should lend a probe: a request wants to be sent, and there is one to lend."""
        row = self.row
        return (
            row is not None
            and row.state is State.HALF_OPEN
            and now_ms - self._wished_ms < WISH_MS
            and len(row.probes) < self._policy.probes
            and self.probe(now_ms) is None
        )

    def renounce_idle(self, now_ms: int, *, all_of_them: bool = False) -> bool:
        """Give probes back that nobody used; True if there are any."""
        idle = [
            number
            for number, at_ms in self._lent_ms.items()
            if number not in self._used
            and number not in self.ends
            and (all_of_them or now_ms - at_ms >= WISH_MS)
        ]
        self.ends |= dict.fromkeys(idle, ProbeEnd.RENOUNCED)
        return bool(idle)

    def outage(self, now_ms: int, own: int) -> bool:
        """Whether a failed call, the `own`-th of its request, is the deployment's fault as a whole, and no
        attempt.
        """
        if self.failing(now_ms) or self.state in OBEYED:
            return True
        return self._enforced and self.state in _RESTRAINED and self._trip.excuses(own, LOCAL)

    def unproven(self, since_ms: int) -> bool:
        """Whether no call that began since a request's first failure is known to have worked."""
        return self._enforced and self.state in _RESTRAINED and self._worked_ms < since_ms

    def failing(self, now_ms: int) -> bool:
        """Whether this process has seen nothing but failures: then repeats wait for what the owner says."""
        return now_ms < self._failing_until_ms and self.state in _RESTRAINED

    def sent(self, now_ms: int) -> None:
        """A call is made."""
        self._trip = self._trip.after_start()
        self._trial_ms = now_ms + LOCAL.refuse_ms

    def ended(self, end: CallEnd | None, effect: BreakerEffect, began_ms: int, now_ms: int) -> bool:
        """It has ended; True if the owner should hear of it soon."""
        before, failing = self._trip, self.failing(now_ms)
        self._trip = before.after_end(end, began_ms, now_ms, LOCAL)
        tripped = self._trip.refused_until_ms != before.refused_until_ms
        # While it holds back there are few calls: each that fails shows that nothing has changed.
        renewed = failing and self._trip is not before
        if effect is BreakerEffect.SUCCESS:
            self._worked_ms = max(self._worked_ms, began_ms)
            if began_ms >= before.failing_ms:
                self._failing_until_ms = 0
        elif self._enforced and (tripped or renewed):
            self.trips += not failing
            self._failing_until_ms = now_ms + SPOKEN_MS
        return effect in FAILURES

    def _pace(self, now_ms: int) -> float:
        """How much of its usual pace the upstream's own refusals leave it: 0 while it rests."""
        return pace(self._rest, now_ms, _REST)

    def _holds_back(self, now_ms: int) -> bool:
        return self.failing(now_ms) and now_ms < self._trial_ms

    def _wish(self, now_ms: int) -> None:
        if self._wish_ms == 0 or now_ms - self._wished_ms >= WISH_MS:
            self._wish_ms = now_ms
        self._wished_ms = now_ms

    def _given_up_ms(self, row: Row) -> int:
        """When it is clear that nobody lends probes any more."""
        if self._wish_ms == 0:
            return 2**62
        out = [probe.expires_ms for probe in row.probes if probe.end is None]
        return max(self._wish_ms, *out, 0) + SILENT_MS

    def _unowned(self, from_ms: int, now_ms: int) -> float:
        """The share of a deployment whose breaker nobody has owned since `from_ms`."""
        if now_ms < from_ms:
            return 0.0
        ramp = self._policy.ramp
        return ramp[min((now_ms - from_ms) // self._policy.ramp_step_ms, len(ramp) - 1)]
