"""The states of a breaker: (breaker, finding, now, roll) -> breaker.

CLOSED -> OPEN for a time that doubles with each trip in a row -> HALF_OPEN, in which a few probes are
lent -> RAMP, a share that grows in steps -> CLOSED. A failed probe, or a rule that trips in RAMP,
opens it again, for longer.

It cannot stick. OPEN and RAMP end by time alone. In HALF_OPEN there is always either a probe to lend
or one that is out, and that ends by its expiry at the latest, as a failure. Probes are told by number,
and a number is used once: what comes late, or twice, changes nothing. What operators set is changed
by operators only.

Evidence is counted from the beginning of the ramp: the calls of the outage would trip it once more.
"""

from typing import Final

import msgspec

from headrace.dispatcher.governor.breaker.policy import BreakerPolicy
from headrace.dispatcher.governor.breaker.rules import Finding
from headrace.schemas.breakers import Figures, Probe, ProbeEnd, State, Why

JUDGED: Final = frozenset({State.CLOSED, State.RAMP, State.METRICS_ONLY})
"""States in which the rules are asked."""
ORDERED: Final = frozenset(
    {State.CLOSED, State.FORCED_OPEN, State.FORCED_CLOSED, State.METRICS_ONLY, State.DISABLED}
)
"""States that an operator can set; CLOSED lifts the others and forgets all trips."""


class Breaker(msgspec.Struct, frozen=True):
    """What a breaker is; `schemas.breakers.Row` says what the fields mean."""

    state: State = State.CLOSED
    since_ms: int = 0
    open_until_ms: int = 0
    trips: int = 0
    probes: tuple[Probe, ...] = ()
    issued: int = 0
    evidence_from_ms: int = 0
    would_trip: int = 0
    why: Why = Why.START
    figures: Figures = Figures()
    by: str = ""


class Allowance(msgspec.Struct, frozen=True):
    """What may be handed out."""

    share: float
    """Of the usual credits."""
    probes: int = 0
    """Probes that can be lent now, instead."""
    would_refuse: bool = False
    """Under METRICS_ONLY: it would be open now."""


def tick(
    breaker: Breaker, finding: Finding | None, now_ms: int, roll: float, policy: BreakerPolicy
) -> Breaker:
    """The breaker at `now_ms`, which never goes back; `finding` is what the rules say, `roll` in [0, 1)."""
    if finding is not None and breaker.state in JUDGED:
        return _found(breaker, finding, now_ms, roll, policy)
    match breaker.state:
        case State.CLOSED if breaker.trips and now_ms - breaker.since_ms >= policy.forget_ms:
            return msgspec.structs.replace(breaker, trips=0)
        case State.OPEN if now_ms >= breaker.open_until_ms:
            return _moved(breaker, State.HALF_OPEN, Why.WAITED, now_ms)
        case State.HALF_OPEN:
            return _probed(breaker, now_ms, roll, policy)
        case State.RAMP if _step(breaker, now_ms, policy) >= len(policy.ramp):
            closed = _moved(breaker, State.CLOSED, Why.RAMPED, now_ms)
            evidence_ms = breaker.evidence_from_ms
            return msgspec.structs.replace(closed, evidence_from_ms=evidence_ms)
    return breaker


def allowance(breaker: Breaker, now_ms: int, policy: BreakerPolicy) -> Allowance:
    """What may be handed out at `now_ms`."""
    match breaker.state:
        case State.OPEN | State.FORCED_OPEN:
            return Allowance(0.0)
        case State.HALF_OPEN:
            return Allowance(0.0, policy.probes - len(breaker.probes))
        case State.RAMP:
            step = min(_step(breaker, now_ms, policy), len(policy.ramp) - 1)
            return Allowance(policy.ramp[step])
        case State.METRICS_ONLY:
            return Allowance(1.0, would_refuse=now_ms < breaker.open_until_ms)
    return Allowance(1.0)


def lend_probe(
    breaker: Breaker, holder: str, now_ms: int, policy: BreakerPolicy
) -> tuple[Breaker, Probe | None]:
    """A probe for the session `holder`, which has a request to send; None: there is none to lend."""
    if allowance(breaker, now_ms, policy).probes < 1:
        return breaker, None
    probe = Probe(breaker.issued + 1, holder, now_ms + policy.probe_ms)
    lent = (*breaker.probes, probe)
    return msgspec.structs.replace(breaker, probes=lent, issued=probe.number), probe


def end_probe(breaker: Breaker, number: int, end: ProbeEnd) -> Breaker:
    """The probe `number` has ended; the first end counts, and one of an earlier round does not."""
    probes = tuple(
        msgspec.structs.replace(probe, end=end)
        if probe.number == number and probe.end is None
        else probe
        for probe in breaker.probes
    )
    kept = tuple(probe for probe in probes if probe.end is not ProbeEnd.RENOUNCED)
    return msgspec.structs.replace(breaker, probes=kept)


def order(breaker: Breaker, state: State, by: str, now_ms: int) -> Breaker:
    """An operator sets one of `ORDERED`. Raises `ValueError` for any other state."""
    if state not in ORDERED:
        raise ValueError(f"a breaker is not set to {state}, it comes to that")
    moved = _moved(breaker, state, Why.OPERATOR, now_ms)
    return msgspec.structs.replace(moved, trips=0, would_trip=0, by=by, figures=Figures())


def _probed(breaker: Breaker, now_ms: int, roll: float, policy: BreakerPolicy) -> Breaker:
    """HALF_OPEN: the first failure decides, else the ends of all."""
    ends = [probe.end for probe in breaker.probes]
    if ProbeEnd.FAILED in ends:
        return _trip(breaker, Why.PROBE_FAILED, Figures(), now_ms, roll, policy)
    if any(probe.end is None and now_ms >= probe.expires_ms for probe in breaker.probes):
        return _trip(breaker, Why.PROBE_EXPIRED, Figures(), now_ms, roll, policy)
    if len(ends) < policy.probes or None in ends:
        return breaker
    if ProbeEnd.PASSED in ends:
        return _moved(breaker, State.RAMP, Why.PROBES_PASSED, now_ms)
    return _moved(breaker, State.HALF_OPEN, Why.PROBES_UNTOLD, now_ms)


def _trip(
    breaker: Breaker, why: Why, figures: Figures, now_ms: int, roll: float, policy: BreakerPolicy
) -> Breaker:
    trips = breaker.trips + 1
    until_ms = now_ms + policy.open_for_ms(trips, roll)
    moved = _moved(breaker, State.OPEN, why, now_ms)
    return msgspec.structs.replace(moved, trips=trips, open_until_ms=until_ms, figures=figures)


def _found(
    breaker: Breaker, finding: Finding, now_ms: int, roll: float, policy: BreakerPolicy
) -> Breaker:
    """Open; under METRICS_ONLY count it, as if it had opened and come back by itself."""
    if breaker.state is not State.METRICS_ONLY:
        return _trip(breaker, finding.why, finding.figures, now_ms, roll, policy)
    if now_ms < breaker.open_until_ms:
        return breaker
    until_ms = now_ms + policy.open_for_ms(1, roll)
    return msgspec.structs.replace(
        breaker,
        would_trip=breaker.would_trip + 1,
        open_until_ms=until_ms,
        evidence_from_ms=until_ms,
        figures=finding.figures,
    )


def _moved(breaker: Breaker, state: State, why: Why, now_ms: int) -> Breaker:
    return msgspec.structs.replace(
        breaker,
        state=state,
        why=why,
        since_ms=now_ms,
        open_until_ms=0,
        probes=(),
        evidence_from_ms=now_ms,
        by="",
    )


def _step(breaker: Breaker, now_ms: int, policy: BreakerPolicy) -> int:
    return max(0, now_ms - breaker.since_ms) // policy.ramp_step_ms
