"""When a breaker trips: rules A to D, over calls by the second of their start.

A  of the calls started within the window, enough of them, half have failed;
B  of those started a stall bound ago, half have failed or still have no first byte;
C  at low traffic: the last calls, several in a row over seconds, have all failed;
D  nearly all streams of B's cohort were slow to begin.

Calls that tell nothing (429, 400, cancelled) are taken out of both sides of a share; 529 counts half.
A share of few calls is reached by chance, so A, B and C also ask that the failures be too many to be the
usual ones (`evidence`): without that, two of a hundred cold starts trip at a steady fifth of errors.

A, B and D believe the tenant that fails most only when the others' calls fail as well, where there are
others: one poisonous tenant must not close an upstream to all. Beside them, a credential that is refused
several times in a row opens the breaker too: every call would end so.
"""

import math
from collections.abc import Callable

import msgspec

from headrace.dispatcher.governor.breaker.cohorts import NONE, Cohorts, plus
from headrace.dispatcher.governor.breaker.policy import FARTHEST_S, BreakerPolicy
from headrace.schemas.breakers import Figures, Why
from headrace.schemas.cohorts import Counts
from headrace.schemas.names import Tenant


class Finding(msgspec.Struct, frozen=True):
    """A rule that says: open."""

    why: Why
    figures: Figures


def judge(cohorts: Cohorts, since_ms: int, now_ms: int, policy: BreakerPolicy) -> Finding | None:
    """What the calls since `since_ms` say; None: let them go on."""
    since_s, now_s = -(-since_ms // 1000), now_ms // 1000
    first_s = max(since_s, now_s - policy.window_s + 1)
    recent = cohorts.sums(first_s, now_s + 1)
    if health(recent) >= policy.least_calls and _failing(recent, 0, policy):
        tenants = cohorts.by_tenant(first_s, now_s + 1)
        if _shared(tenants, _weight, policy):
            return Finding(Why.ERRORS, _figures(recent, len(tenants)))
    found = _matured(cohorts, since_s, now_s, policy)
    if found is None:
        low = health(recent) < policy.least_calls
        found = _in_a_row(cohorts, max(since_s, now_s - FARTHEST_S), now_s, policy, low=low)
    return found


def health(counts: Counts) -> int:
    """Calls that tell, or may yet tell, something of the upstream's health."""
    return counts.started - counts.ignored


def waiting(counts: Counts) -> int:
    """Streams without a first byte."""
    return counts.streams - counts.begun


def _matured(cohorts: Cohorts, since_s: int, now_s: int, policy: BreakerPolicy) -> Finding | None:
    """Rules B and D: the calls that were started a stall bound ago."""
    last_s = now_s - policy.stall_s - 1
    first_s = max(since_s, last_s - policy.window_s + 1)
    counts = cohorts.sums(first_s, last_s)
    enough = health(counts) >= policy.least_calls
    hanging = enough and _failing(counts, waiting(counts), policy)
    slow = counts.streams >= policy.slow_calls and (
        _late(counts) >= policy.slow_share * counts.streams
    )
    if not hanging and not slow:
        return None
    tenants = cohorts.by_tenant(first_s, last_s)
    if hanging and _shared(tenants, _lost, policy):
        return Finding(Why.HANGING, _figures(counts, len(tenants)))
    if slow and _shared(tenants, _late, policy):
        return Finding(Why.SLOW, _figures(counts, len(tenants)))
    return None


def _failing(counts: Counts, hanging: int, policy: BreakerPolicy) -> bool:
    """Whether the share of failures is reached, by more than chance where evidence is asked for."""
    calls, lost = health(counts), _weight(counts) + hanging
    if lost < policy.failing_share * calls:
        return False
    return policy.evidence <= _against(lost, calls, policy.tolerated_share)


def _against(lost: float, calls: int, tolerated: float) -> float:
    """How improbable (as -ln p, Chernoff's bound) so many failures are at the share `tolerated`."""
    share = min(lost / calls, 1.0)
    rest = (1 - share) * math.log((1 - share) / (1 - tolerated)) if share < 1 else 0.0
    return calls * (share * math.log(share / tolerated) + rest)


def _shared(
    tenants: dict[Tenant, Counts], lost: Callable[[Counts], float], policy: BreakerPolicy
) -> bool:
    """Whether the calls of the tenants beside the worst one fail as well; one tenant alone is believed."""
    active = sorted((counts for counts in tenants.values() if health(counts) > 0), key=lost)
    others = NONE
    for counts in active[:-1]:
        others = plus(others, counts)
    failed = lost(others)
    return len(active) < 2 or (failed > 0 and failed >= policy.others_share * health(others))


def _in_a_row(
    cohorts: Cohorts, first_s: int, now_s: int, policy: BreakerPolicy, *, low: bool
) -> Finding | None:
    """Rule C, and the refused credential."""
    hung_s = now_s - policy.stall_s - 1
    calls, over_s = _row(cohorts, first_s, hung_s, refused=False) if low else (0, 0)
    if calls >= policy.in_a_row and over_s >= policy.in_a_row_s:
        if policy.evidence <= _against(calls, calls, policy.tolerated_share):
            return Finding(Why.IN_A_ROW, Figures(calls, calls))
        return None
    calls, _ = _row(cohorts, first_s, hung_s, refused=True)
    if calls >= policy.exhausted_in_a_row:
        return Finding(Why.CREDENTIAL, Figures(calls, calls))
    return None


def _row(cohorts: Cohorts, first_s: int, hung_s: int, *, refused: bool) -> tuple[int, int]:
    """How many of the last calls have failed, or were refused, all of them; over how many seconds.

    In the order of starts: a second with another call in it ends the row, also one that may yet
    succeed, but for the newest calls of all.
    """
    row, newest_s, oldest_s = 0, 0, 0
    for second, counts in cohorts.backwards(first_s):
        calls = health(counts) + (counts.exhausted if refused else 0)
        lost = counts.exhausted if refused else counts.failed
        if not refused and second <= hung_s:
            lost += waiting(counts)
        if calls == 0:
            continue
        if lost >= calls:
            row, newest_s, oldest_s = row + calls, newest_s or second, second
        elif row > 0 or lost + counts.started - counts.ended < calls:
            break
    return row, newest_s - oldest_s


def _weight(counts: Counts) -> float:
    return counts.failed + counts.overloaded / 2


def _lost(counts: Counts) -> float:
    return _weight(counts) + waiting(counts)


def _late(counts: Counts) -> int:
    return counts.slow + waiting(counts)


def _figures(counts: Counts, tenants: int = 0) -> Figures:
    return Figures(
        calls=health(counts),
        failed=counts.failed,
        overloaded=counts.overloaded,
        waiting=waiting(counts),
        slow=counts.slow,
        tenants=tenants,
    )
