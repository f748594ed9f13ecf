"""Which deployments rest, and how slowly they start again. No I/O; times are broker time.

The owner decides (`refused`); a successor goes on from what it said (`take`). A single request that
is turned away again and again may be odd in itself, larger than its account allows: alone it holds the others
up for a moment only, whatever the upstream asks for.
"""

from typing import Final

from headrace.dispatcher.governor.cooldown import (
    Cooldown,
    CooldownPolicy,
    after_refusal,
    pace,
    would_pace,
)
from headrace.schemas.names import DeploymentName

LONE_MS: Final = 2_000
"""The longest rest that one request can ask for."""
LONGEST_MS: Final = 300_000
"""The longest that two can: then one call tries."""
CONFIRM_MS: Final = 60_000
"""Refusals of two requests within this time are no oddity."""
SPREAD_MS: Final = 500
"""How long a rest is on its way: calls that were started until then are refused without having known."""
MOST: Final = 1_000
"""Deployments that are known of at a time."""
ROLL: Final = 0.5
"""One owner decides for all, so nothing need be spread by chance."""


class _Known:
    """One deployment."""

    __slots__ = ("cooldown", "refused_ms", "request")

    def __init__(self) -> None:
        self.cooldown = Cooldown()
        self.request: int | None = None
        """That was refused last."""
        self.refused_ms = 0


class Rests:
    """All deployments that were refused lately."""

    def __init__(self, policy: CooldownPolicy) -> None:
        """Nobody rests."""
        self._policy = policy
        self._known: dict[DeploymentName, _Known] = {}

    def refused(
        self,
        deployment: DeploymentName,
        *,
        request: int,
        started_ms: int,
        asked_ms: int | None,
        now_ms: int,
    ) -> Cooldown | None:
        """A call was turned away that was started at `started_ms`; `asked_ms` is asked for from now on.

        Returns the rest if it is a new one.
        """
        known = self._known.get(deployment)
        if known is None:
            if len(self._known) >= MOST:
                return None
            known = self._known[deployment] = _Known()
        before = known.cooldown
        young = now_ms - known.refused_ms <= CONFIRM_MS
        alone = not young or known.request in (None, request)
        known.request, known.refused_ms = request, now_ms
        if asked_ms is not None:
            asked_ms = min(asked_ms, LONE_MS if alone else LONGEST_MS)
        if alone and now_ms >= before.until_ms:
            before = Cooldown()
        known.cooldown = after_refusal(
            before,
            started_ms=started_ms - SPREAD_MS,
            asked_ms=asked_ms,
            now_ms=now_ms,
            roll=ROLL,
            policy=self._policy,
        )
        return known.cooldown if known.cooldown.began_ms != before.began_ms else None

    def share(self, deployment: DeploymentName, now_ms: int) -> float:
        """Of the usual pace: 0 while it rests, 1 when its start is over."""
        known = self._known.get(deployment)
        return 1.0 if known is None else pace(known.cooldown, now_ms, self._policy)

    def shadowed(self, deployment: DeploymentName, now_ms: int) -> bool:
        """Whether it would rest if that were not in shadow mode."""
        known = self._known.get(deployment)
        return (
            known is not None
            and self._policy.shadow
            and would_pace(known.cooldown, now_ms, self._policy) == 0
        )

    def until_ms(self) -> dict[DeploymentName, int]:
        """When each deployment's last rest ends or ended, of those that are not forgotten."""
        return {name: known.cooldown.until_ms for name, known in self._known.items()}

    def of(self, deployment: DeploymentName) -> Cooldown:
        """Its last rest, as others should know it: none in shadow mode."""
        known = self._known.get(deployment)
        return Cooldown() if known is None or self._policy.shadow else known.cooldown

    def take(self, deployment: DeploymentName, cooldown: Cooldown) -> None:
        """What the owner before has said."""
        if cooldown.times and deployment not in self._known and len(self._known) < MOST:
            self._known[deployment] = known = _Known()
            known.cooldown = cooldown

    def forget(self, now_ms: int) -> None:
        """Drop what is long over."""
        for name, known in list(self._known.items()):
            if now_ms - max(known.cooldown.until_ms, known.refused_ms) > self._policy.forget_ms:
                del self._known[name]
