"""Cooldowns: a deployment that said 429 or "overloaded" rests, and then starts slowly.

How long: as the upstream asks, else as the throttling backoff says, longer each time in a row. What
was in flight when the rest began says the same again and makes it no longer, unless it asks for more.
Then the pace doubles step by step: all that waited would else come at once, into the next 429.
"""

from dataclasses import dataclass

import msgspec

from headrace.dispatcher.policy import backoff


@dataclass(frozen=True, slots=True)
class CooldownPolicy:
    """How it starts again, and when it is forgotten."""

    first_share: float = 0.125
    """Of the usual pace."""
    double_ms: int = 1_000
    forget_ms: int = 60_000
    """After so long without another one, the next is the first."""
    most_times: int = 6
    """Rests in a row that are each longer than the one before: the longest are half a minute."""
    shadow: bool = False
    """Count, but hold nobody back."""

    def __post_init__(self) -> None:
        """Refuse a start that never comes to the whole pace."""
        if not 0 < self.first_share <= 1 or self.double_ms < 1 or self.forget_ms < 0:
            raise ValueError("a first share lies between 0 and 1, times are above 0")


class Cooldown(msgspec.Struct, frozen=True):
    """The last rest of one deployment."""

    began_ms: int = 0
    until_ms: int = 0
    times: int = 0
    """In a row."""


def after_refusal(
    cooldown: Cooldown,
    *,
    started_ms: int,
    asked_ms: int | None,
    now_ms: int,
    roll: float,
    policy: CooldownPolicy,
) -> Cooldown:
    """A call that was started at `started_ms` was turned away; `asked_ms` is what it asks to wait."""
    if cooldown.times and started_ms <= cooldown.began_ms:
        until_ms = max(cooldown.until_ms, now_ms + (asked_ms or 0))
        return msgspec.structs.replace(cooldown, until_ms=until_ms)
    again = cooldown.times > 0 and now_ms - cooldown.until_ms < policy.forget_ms
    times = cooldown.times + 1 if again else 1
    until_ms = now_ms + backoff.throttle_ms(min(times, policy.most_times), roll, asked_ms)
    return Cooldown(now_ms, max(cooldown.until_ms, until_ms), times)


def pace(cooldown: Cooldown, now_ms: int, policy: CooldownPolicy) -> float:
    """The share of the usual pace that is allowed: 0 while it rests, 1 when the start is over."""
    if not cooldown.times or policy.shadow:
        return 1.0
    return would_pace(cooldown, now_ms, policy)


def would_pace(cooldown: Cooldown, now_ms: int, policy: CooldownPolicy) -> float:
    """The same, as if there were no shadow mode."""
    if not cooldown.times:
        return 1.0
    since_ms = now_ms - cooldown.until_ms
    if since_ms < 0:
        return 0.0
    # Past 64 doublings the share is long above 1, and the power would overflow.
    return min(1.0, policy.first_share * 2.0 ** min(since_ms // policy.double_ms, 64))
