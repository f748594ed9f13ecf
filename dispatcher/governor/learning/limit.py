"""The limit that an upstream really has, learned from its 429s.

How it works. A 429 says that the upstream's limit is below ours, or that somebody else spends it too.
The first 429 of an epoch cuts the limit to 0.7; those of calls that were started before the cut belong
to the same epoch and do not cut again, however many there were in flight. From there it grows back
along a cubic (RFC 9438): quickly at first, flat around the *peak*, the amount at which the 429 came,
and beyond it ever faster, so that a limit that was raised is found within minutes.

The peak is a little less than what was spent when the 429 came, but at least 0.7 of the limit then in
force: one odd 429 on a quiet key does not close it.
"""

from dataclasses import dataclass

import msgspec


@dataclass(frozen=True, slots=True)
class LearnPolicy:
    """How far a 429 cuts, and how long the way back to the peak takes."""

    cut: float = 0.7
    regrow_ms: int = 240_000
    shy: float = 0.985
    """The peak lies so far below what was spent: that was already too much, and the way across is long."""
    least: float = 1.0
    """Requests: one must remain, or nothing is learned any more. Tokens: the largest request."""
    shadow: bool = False
    """Learn and count, but hold nobody to it."""

    def __post_init__(self) -> None:
        """Refuse a cut that cuts nothing or everything."""
        if not 0 < self.cut < self.shy <= 1 or self.regrow_ms < 1 or self.least <= 0:
            raise ValueError("a cut lies between 0 and 1, times and least limits above 0")


class LearnedLimit(msgspec.Struct, frozen=True):
    """One limit of one window."""

    configured: float
    told: float | None = None
    """By the upstream's headers."""
    peak: float = 0.0
    cut_at_ms: int = 0
    cuts: int = 0

    @property
    def ceiling(self) -> float:
        """What is never passed, however well it goes."""
        return self.configured if self.told is None else min(self.configured, self.told)


def learned(limit: LearnedLimit, now_ms: int, policy: LearnPolicy) -> float:
    """The limit as it is believed to be at `now_ms`, in whole units: 11.6 of 12 calls are 12."""
    if not limit.cuts:
        return limit.ceiling
    way = max(0, now_ms - limit.cut_at_ms) / policy.regrow_ms
    grown = limit.peak * (1 - (1 - policy.cut) * (1 - way) ** 3)
    return min(limit.ceiling, max(policy.least, float(round(grown))))


def in_force(limit: LearnedLimit, now_ms: int, policy: LearnPolicy) -> float:
    """The limit that requests are held to: under shadow only what is configured."""
    return limit.configured if policy.shadow else learned(limit, now_ms, policy)


def after_429(
    limit: LearnedLimit, *, started_ms: int, spent: float, now_ms: int, policy: LearnPolicy
) -> LearnedLimit:
    """A call that was started at `started_ms` was turned away while `spent` stood in the window.

    Only a 429 below the limit teaches something: above it, the excess was ours.
    """
    known = learned(limit, now_ms, policy)
    if spent > known or (limit.cuts and started_ms <= limit.cut_at_ms):
        return limit
    peak = max(policy.shy * spent, policy.cut * known, policy.least)
    return msgspec.structs.replace(limit, peak=peak, cut_at_ms=now_ms, cuts=limit.cuts + 1)


def after_headers(limit: LearnedLimit, told: int | None) -> LearnedLimit:
    """An answer has told the limit of this window; None: it has not, what was told before stays."""
    return limit if told is None else msgspec.structs.replace(limit, told=float(max(told, 1)))
