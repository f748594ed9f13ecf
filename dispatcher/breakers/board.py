"""All breakers of one process: rows in, refusals and reports out. No I/O; `now_ms` is broker time."""

from collections.abc import Callable, Iterable
from typing import Final

from headrace.dispatcher.breakers.switch import Switch
from headrace.dispatcher.breakers.watch import Watch
from headrace.dispatcher.governor.breaker.configured import policies_of
from headrace.dispatcher.ports import Clock
from headrace.dispatcher.waiting import Waiting
from headrace.schemas.breakers import Row
from headrace.schemas.config.model import Config
from headrace.schemas.journal import ProcessId
from headrace.schemas.names import DeploymentName, ModelName
from headrace.schemas.outcomes import Calls, Ended, Outcomes

NEWS_MS: Final = 250
"""Failures, wishes and ends of probes are told at once, but no more often than this."""
CALM_MS: Final = 1_000
"""Everything else."""
NONE: Final[frozenset[DeploymentName]] = frozenset()


class Breakers:
    """What this process may call, and what it has to tell of its calls."""

    def __init__(self, config: Config, own: ProcessId) -> None:
        self._looks = config.breaker.mode != "disabled"
        enforced = config.breaker.mode == "enforce"
        self._switches = {
            name: Switch(name, own, policy, enforced=enforced)
            for name, policy in policies_of(config).items()
        }
        self._of: dict[ModelName, list[DeploymentName]] = {}
        for one in config.deployments:
            self._of.setdefault(one.model, []).append(one.name)
        self.irregular: dict[DeploymentName, Switch] = {}
        """Those that may refuse something now; empty nearly always, so that calls cost a look."""
        self._news = False
        self._told_ms = self._told_before_ms = 0
        self.stirred: Callable[[], None] = lambda: None
        """Called when there may be something to report."""

    def obey(self, row: Row, now_ms: int) -> bool:
        """The owner's newest word on a deployment; False if it is none of this configuration's."""
        switch = self._switches.get(row.deployment)
        if switch is None:
            return False
        switch.obey(row, now_ms)
        self._note(switch, now_ms)
        return True

    def lets(self, deployment: DeploymentName, waiting: Waiting, now_ms: int) -> bool:
        """Whether a request, which waits for that, may be sent there now."""
        switch = self.irregular.get(deployment)
        return switch is None or (switch.lets_any(now_ms) and not refuses(switch, waiting, now_ms))

    def attitude(self, deployment: DeploymentName, waiting: Waiting, now_ms: int) -> int:
        """As `routes.Attitude`. To be asked when the request might go there."""
        switch = self.irregular.get(deployment)
        if switch is None:
            return 0
        if switch.probe(now_ms) is not None:
            return -1
        return 0 if switch.lets_any(now_ms) and not refuses(switch, waiting, now_ms) else 3

    def shut(self, model: ModelName, now_ms: int) -> frozenset[DeploymentName]:
        """Deployments of a model that no request may be sent to now.

        To be asked when there is a request: then a half-open one is asked to lend a probe.
        """
        if not self.irregular:
            return NONE
        return self._those(model, lambda switch: not switch.lets_any(now_ms))

    def refusing(self, waiting: Waiting, now_ms: int) -> frozenset[DeploymentName]:
        """Deployments of its model that a request may not be sent to now."""
        if not self.irregular:
            return NONE
        return self._those(waiting.model, lambda switch: refuses(switch, waiting, now_ms))

    def probing(self, model: ModelName, now_ms: int) -> list[DeploymentName]:
        """Deployments of a model with a probe in hand: they are called first, while there are others too."""
        if not self.irregular:
            return []
        return list(self._those(model, lambda switch: switch.probe(now_ms) is not None))

    def of(self, model: ModelName) -> list[DeploymentName]:
        """The deployments of a model."""
        return self._of.get(model, [])

    def outage(self, deployment: DeploymentName, now_ms: int, own: int) -> bool:
        """Whether what fails there, a request's `own`-th call, is no attempt, since nearly all do."""
        return self._looks and self._switches[deployment].outage(now_ms, own)

    def unproven(self, deployment: DeploymentName, since_ms: int) -> bool:
        """Whether nothing is known to have worked there since a request's first failure."""
        return self._looks and self._switches[deployment].unproven(since_ms)

    def watch(self, deployment: DeploymentName, waiting: Waiting, clock: Clock) -> Watch | None:
        """Whoever is to see the call that is made now; None where nothing is looked at."""
        return (
            Watch(self._switches[deployment], waiting, clock, self._heard) if self._looks else None
        )

    def turn(self, now_ms: int) -> None:
        """Let time pass: called a few times a second."""
        for switch in self._switches.values() if self._looks else ():
            self._note(switch, now_ms)
        for switch in list(self.irregular.values()):
            if switch.renounce_idle(now_ms) or switch.wishes(now_ms):
                self._heard(switch, now_ms)

    def rest(self, now_ms: int) -> None:
        """The process begins nothing more: probes in hand are others' now."""
        for switch in list(self.irregular.values()):
            if switch.renounce_idle(now_ms, all_of_them=True):
                self._heard(switch, now_ms)

    def left_ms(self, now_ms: int) -> int | None:
        """How long until the next report is due; None: there is nothing to tell."""
        if self._news:
            return max(0, self._told_ms + NEWS_MS - now_ms)
        open_calls = any(switch.recorder.open for switch in self._switches.values())
        untold = any(s.recorder.changed_ms >= self._told_before_ms for s in self._switches.values())
        if not (open_calls or untold or any(s.ends for s in self.irregular.values())):
            return None
        return max(0, self._told_ms + CALM_MS - now_ms)

    def outcomes(self, now_ms: int) -> Outcomes:
        """What is to be told now: of each change in two reports at least, so that one may be lost."""
        calls: list[Calls] = []
        for name, switch in self._switches.items():
            switch.recorder.forget(now_ms)
            cells = switch.recorder.changed(self._told_before_ms)
            if cells:
                calls.append(Calls(name, cells))
        self._told_before_ms, self._told_ms = self._told_ms, now_ms
        self._news = False
        irregular = self.irregular.items()
        ends = [Ended(name, *end) for name, switch in irregular for end in switch.ends.items()]
        wants = [name for name, switch in irregular if switch.wishes(now_ms)]
        return Outcomes(calls, ends, wants)

    def switches(self) -> Iterable[Switch]:
        """All of them, to look at."""
        return self._switches.values()

    def _note(self, switch: Switch, now_ms: int) -> None:
        if switch.refuses_some(now_ms):
            self.irregular[switch.deployment] = switch
        else:
            self.irregular.pop(switch.deployment, None)

    def _those(
        self, model: ModelName, meets: Callable[[Switch], bool]
    ) -> frozenset[DeploymentName]:
        irregular = self.irregular
        return frozenset(
            name for name in self.of(model) if name in irregular and meets(irregular[name])
        )

    def _heard(self, switch: Switch, now_ms: int) -> None:
        """The owner should hear of this one soon, and it may refuse something from now on."""
        self._note(switch, now_ms)
        if not self._news:
            self._news = True
            self.stirred()


def refuses(switch: Switch, waiting: Waiting, now_ms: int) -> bool:
    """Whether this request may not be sent there now."""
    return failed_there(switch, waiting, now_ms) or not switch.lets(waiting.id, now_ms)


def failed_there(switch: Switch, waiting: Waiting, now_ms: int) -> bool:
    """Whether it would be a repeat where this process has seen nothing but failures."""
    return switch.failing(now_ms) and switch.deployment in waiting.tried
