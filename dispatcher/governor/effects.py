"""What the end of a call means for the breaker and for the limits: one table.

The class of an end is `policy.signals`'; nothing is classified here a second time. Three facts are
read beside it. `x-should-retry` speaks of repeating and says nothing of health, so it is left out: a
500 that must not be repeated is still a 500. A 4xx that passes by itself (409 locks, 425) speaks of
the request. And of what asks to wait, only a 429 is a limit; 503 and 529 are load.
"""

from enum import StrEnum
from typing import Final

import msgspec

from headrace.dispatcher.policy.signals import Signal, classify
from headrace.dispatcher.ports import Break, CallEnd
from headrace.schemas.breakers import ProbeEnd


class BreakerEffect(StrEnum):
    """What a breaker learns of a call."""

    SUCCESS = "success"
    FAILURE = "failure"
    OVERLOAD = "overload"
    """A failure of half the weight."""
    IGNORED = "ignored"
    EXHAUSTED = "exhausted"
    """The credential is refused, or its account has no money left."""


class LimiterEffect(StrEnum):
    """What becomes of the credits that the call spent."""

    SETTLE = "settle"
    """They are used, to the actual amount."""
    REFUND = "refund"
    """The upstream has seen nothing: they come back."""
    COOLDOWN = "cooldown"
    """Used; the deployment rests for a time."""
    LEARN = "learn"
    """Used; it rests, and the limit is lower than was thought."""


class Effects(msgspec.Struct, frozen=True):
    """Both of them."""

    breaker: BreakerEffect
    limiter: LimiterEffect


PROBE_ENDS: Final = {
    BreakerEffect.SUCCESS: ProbeEnd.PASSED,
    BreakerEffect.FAILURE: ProbeEnd.FAILED,
    BreakerEffect.OVERLOAD: ProbeEnd.FAILED,
    BreakerEffect.IGNORED: ProbeEnd.UNTOLD,
    BreakerEffect.EXHAUSTED: ProbeEnd.FAILED,
}
"""What the end of a probe's call tells."""

_NOTHING: Final = Effects(BreakerEffect.IGNORED, LimiterEffect.SETTLE)
_FAILED: Final = Effects(BreakerEffect.FAILURE, LimiterEffect.SETTLE)
_GOOD: Final = Effects(BreakerEffect.SUCCESS, LimiterEffect.SETTLE)
_BY_SIGNAL: Final = {
    Signal.COMPLETE: _GOOD,
    Signal.NOT_SENT: Effects(BreakerEffect.FAILURE, LimiterEffect.REFUND),
    Signal.AMBIGUOUS: _FAILED,
    Signal.PARTIAL: _FAILED,
    Signal.TRANSIENT: _FAILED,
    Signal.THROTTLE: Effects(BreakerEffect.OVERLOAD, LimiterEffect.COOLDOWN),
    Signal.QUOTA: Effects(BreakerEffect.IGNORED, LimiterEffect.COOLDOWN),
    Signal.CREDENTIAL: Effects(BreakerEffect.EXHAUSTED, LimiterEffect.SETTLE),
    Signal.TERMINAL: _NOTHING,
    Signal.TOO_LARGE: _NOTHING,
    Signal.CUT: _NOTHING,
}
_LIMITED: Final = Effects(BreakerEffect.IGNORED, LimiterEffect.LEARN)


def effects_of(end: CallEnd | None, *, overdue: bool = False) -> Effects:
    """What a call that ended with `end` means; None: we aborted it, the client did not want it any more.

    `overdue`: the request's deadline had passed, so a call that ran out of time ran out of ours.
    """
    if end is None or (overdue and end.broken is Break.TOTAL_TIMEOUT):
        return _NOTHING
    if end.broken is None and 200 <= end.status < 300:
        return _GOOD  # nearly all of them
    signal = classify(_without_advice(end))
    if signal is Signal.THROTTLE and end.status == 429:
        return _LIMITED
    if signal is Signal.TRANSIENT and end.broken is None and end.status < 500:
        return _NOTHING
    return _BY_SIGNAL[signal]


def _without_advice(end: CallEnd) -> CallEnd:
    return msgspec.structs.replace(end, headers={}) if "x-should-retry" in end.headers else end
