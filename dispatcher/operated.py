"""What operators have set, as this process obeys it. No I/O."""

from collections.abc import Callable, Mapping

from headrace.dispatcher.governor.pauses import Pauses, in_effect, pauses_of
from headrace.schemas.limits import Flow
from headrace.schemas.names import DeploymentName, LaneName, Tenant
from headrace.schemas.settings import Limit, Pause, Scope, Settings
from headrace.telemetry.logs import Log

LOOK_MS = 250
"""How late the end of a setting may be seen."""


class Operated:
    """Settings, and what is in effect of them. `now_ms` is broker time.

    Whoever must act when that changes appends to `listeners`; each is called with the time, and compares
    what concerns it with what it knew.
    """

    def __init__(self, log: Log) -> None:
        """Nothing is set."""
        self.settings = Settings()
        self.pauses: Pauses = {}
        self.limits: Mapping[str, Limit] = {}
        self.listeners: list[Callable[[int], None]] = []
        self._log = log
        self._looked_ms = 0
        self._next_end_ms = 0

    def changed(self, now_ms: int) -> None:
        """Something was set, or has ended."""
        before = self.pauses
        self._looked_ms = now_ms
        self.pauses = pauses_of(self.settings.pauses(now_ms))
        self.limits = self.settings.limits(now_ms)
        self._next_end_ms = self.settings.next_end_ms(now_ms)
        for place in sorted(before.keys() - self.pauses.keys()):
            self._tell("pause_over", before[place])
        for place, pause in self.pauses.items():
            if before.get(place) != pause:
                self._tell("pause_in_effect", pause)
        for listener in self.listeners:
            listener(now_ms)

    def tick(self, now_ms: int) -> None:
        """Look for settings whose time is over. May be called as often as one likes."""
        if abs(now_ms - self._looked_ms) < LOOK_MS:
            return
        if now_ms >= self._next_end_ms or now_ms < self._looked_ms:
            # The clock that said more was not the broker's yet.
            self.changed(now_ms)

    def holding(
        self, lane: LaneName, tenant: Tenant, deployment: DeploymentName | None, now_ms: int
    ) -> Pause | None:
        """What keeps such a request from being started; without a `deployment`: anywhere."""
        return in_effect(self.pauses, lane, tenant, deployment, now_ms)

    def holding_lane(self, lane: LaneName, now_ms: int) -> Pause | None:
        """What holds all of a lane."""
        pause = self.pauses.get((Scope.LANE, str(lane)))
        return pause if pause is not None and pause.holds(now_ms) else None

    def holding_flow(self, flow: Flow, now_ms: int) -> Pause | None:
        """The same for a request of `flow`."""
        return in_effect(self.pauses, flow.lane, flow.tenant, flow.deployment, now_ms)

    def paused(self, scope: Scope, now_ms: int) -> frozenset[str]:
        """Names of this kind that are held."""
        return frozenset(
            name for (kind, name), one in self.pauses.items() if kind is scope and one.holds(now_ms)
        )

    def _tell(self, event: str, pause: Pause) -> None:
        self._log.info(
            event, path=pause.place, state=pause.verb.value, reason=pause.reason, by=pause.by
        )
