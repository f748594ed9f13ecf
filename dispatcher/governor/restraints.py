"""What holds an owner's grants back besides the configured limits: rests, slow starts, learned limits.

How it works. Dispatchers tell with each report what upstreams told them, and the refusals they met, each
with its number: one that is told again, by a late report or to a successor, changes nothing. A refusal by a
limit makes its deployment rest and cuts a limit; one by load makes it rest, and cuts seats that are learned.
Rests are told in the rows of the breakers, which all dispatchers obey; limits are stated in the grants, for a
successor.

No I/O; times are the log's.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from headrace.dispatcher.governor.cooldown import CooldownPolicy
from headrace.dispatcher.governor.learning.adaptive import Adaptive
from headrace.dispatcher.governor.learning.holding import Holding, Place
from headrace.dispatcher.governor.learning.limit import LearnPolicy
from headrace.dispatcher.governor.learning.limits import Change, Limits
from headrace.dispatcher.governor.learning.rests import Rests
from headrace.dispatcher.governor.ledger import Ledger
from headrace.dispatcher.governor.tree import Dimension
from headrace.schemas.journal import ProcessId
from headrace.schemas.limits import Epoch, Learned, Report
from headrace.schemas.names import DeploymentName
from headrace.schemas.tellings import Refused, Telling, decode

STALE_MS: Final = 10_000
"""A refusal that is heard of later, and does not ask for more, is over."""
MOST_PROCESSES: Final = 1_000
"""Dispatchers that are remembered; of another one a refusal may be taken twice."""
MOST_NEWS: Final = 100
"""Until they are fetched."""


@dataclass(frozen=True, slots=True)
class RestraintPolicy:
    """The rules of both."""

    cooldown: CooldownPolicy = field(default_factory=CooldownPolicy)
    learn: LearnPolicy = field(default_factory=LearnPolicy)


class Rested(NamedTuple):
    """A rest has begun."""

    deployment: DeploymentName
    until_ms: int
    times: int


News = Rested | Change


class _Process:
    """One dispatcher, over all its sessions."""

    __slots__ = ("heard", "limited", "offset_ms", "overloaded")

    def __init__(self) -> None:
        self.heard: dict[DeploymentName, int] = {}
        """The number of the last refusal that was taken."""
        self.limited: dict[DeploymentName, int] = {}
        self.overloaded: dict[DeploymentName, int] = {}
        self.offset_ms: int | None = None
        """From its clock to the log's, reports that came late left out."""


class Restraints:
    """All of one owner's."""

    def __init__(self, ledger: Ledger, policy: RestraintPolicy | None = None) -> None:
        """Nothing is held back."""
        policy = policy or RestraintPolicy()
        self.rests = Rests(policy.cooldown)
        self._holding = Holding(ledger)
        self.limits = Limits(ledger, self._holding, policy.learn)
        self.seats = Adaptive(self._holding)
        self.limited: dict[DeploymentName, int] = {}
        self.overloaded: dict[DeploymentName, int] = {}
        """Refusals that were heard of, of all dispatchers."""
        self.shadow = ledger.shadow
        self.unreadable = 0
        """Reports of which this part could not be read."""
        self._processes: dict[ProcessId, _Process] = {}
        self._news: list[News] = []

    def hear(self, report: Report, stamp_ms: int) -> None:
        """The next report of a session."""
        if bytes(report.headers) == b"[]":
            return
        tellings = decode(report.headers)
        if tellings is None:
            self.unreadable += 1
            return
        process = self._process(report.dispatcher)
        sent_ms = _sent_ms(process, report.mono_ms, stamp_ms)
        for telling in tellings:
            self._count(process, telling)
            if telling.windows:
                self.limits.told(telling.deployment, telling.windows)
            for answered in telling.answers:
                self.seats.told(report.dispatcher, telling.deployment, answered, stamp_ms)
            for refused in telling.refusals:
                if refused.number > process.heard.get(telling.deployment, 0):
                    process.heard[telling.deployment] = refused.number
                    self._refused(telling.deployment, refused, sent_ms, stamp_ms)

    def share(self, deployment: DeploymentName, now_ms: int) -> float:
        """Of a lane's usual pace at a deployment: 0 while it rests."""
        return self.rests.share(deployment, now_ms) * self.limits.share(deployment)

    def granted(self, deployment: DeploymentName, now_ms: int) -> None:
        """A request was granted: count it if it would have had to wait, were a rule not in shadow mode."""
        if self.rests.shadowed(deployment, now_ms):
            self.shadow.judge("rests", refuse=True, shadow=True)
        if self.limits.shadowed(deployment, now_ms):
            self.shadow.judge("learned_limits", refuse=True, shadow=True)
        if self.seats.shadowed(deployment, now_ms):
            self.shadow.judge("learned_seats", refuse=True, shadow=True)

    def apply(self, now_ms: int) -> bool:
        """Hold the ledger to what is known now; True if its limits have changed."""
        self.rests.forget(now_ms)
        for change in self.limits.apply(now_ms):
            self._tell(change)
        self.seats.apply(now_ms)
        return self._holding.settle()

    def replant(self) -> None:
        """The configured limits were changed."""
        self._holding.replant()
        self.limits.replant()
        self.seats.replant()

    def due(self, epoch: Epoch, now_ms: int) -> list[Learned]:
        """What is to be stated in the log now."""
        return self.limits.due(epoch, now_ms) + self.seats.due(epoch, now_ms)

    def take(self, stated: Learned) -> None:
        """What the owner before knew."""
        if stated.dimension == Dimension.SEATS:
            self.seats.take(stated)
        else:
            self.limits.take(stated)

    def news(self) -> Iterator[News]:
        """What people want to know, each once."""
        news, self._news = self._news, []
        return iter(news)

    def now(self, now_ms: int) -> dict[Place, float]:
        """Limits that are not as configured, or were not."""
        return self.limits.now(now_ms) | self.seats.now(now_ms)

    def _refused(
        self, deployment: DeploymentName, refused: Refused, sent_ms: int, now_ms: int
    ) -> None:
        late_ms = max(0, now_ms - (sent_ms - refused.ended_ago_ms))
        asked_ms = None if refused.asked_ms is None else max(0, refused.asked_ms - late_ms)
        if late_ms > STALE_MS and not asked_ms:
            return
        started_ms = sent_ms - refused.began_ago_ms
        if not self.limits.path(deployment):
            # Nothing says that it met a limit of all: an upstream that refuses one call in twenty by chance
            # would be left alone most of the time. The request that was refused waits.
            return
        rest = self.rests.refused(
            deployment,
            request=refused.request,
            started_ms=started_ms,
            asked_ms=asked_ms,
            now_ms=now_ms,
        )
        if rest is not None:
            self._tell(Rested(deployment, rest.until_ms, rest.times))
        if refused.limited and self.limits.any_of(deployment):
            cut = self.limits.refused(
                deployment, started_ms=started_ms, spent=refused.spent, now_ms=now_ms
            )
        else:
            cut = self.seats.overloaded(deployment, started_ms=started_ms, now_ms=now_ms)
        if cut is not None:
            self._tell(cut)

    def _count(self, process: _Process, telling: Telling) -> None:
        name = telling.deployment
        young = sum(refused.limited for refused in telling.refusals)
        for total, known, told, of_them in (
            (self.limited, process.limited, telling.limited, young),
            (
                self.overloaded,
                process.overloaded,
                telling.overloaded,
                len(telling.refusals) - young,
            ),
        ):
            # What a process told before anybody listened was counted by the owner before.
            more = told - known.get(name, told - of_them)
            if more > 0:
                known[name] = told
                total[name] = total.get(name, 0) + more

    def _process(self, name: ProcessId) -> _Process:
        process = self._processes.pop(name, None) or _Process()
        if len(self._processes) >= MOST_PROCESSES:
            del self._processes[next(iter(self._processes))]
        self._processes[name] = process
        return process

    def _tell(self, news: News) -> None:
        if len(self._news) < MOST_NEWS:
            self._news.append(news)


def _sent_ms(process: _Process, mono_ms: int, stamp_ms: int) -> int:
    """When a report was sent, by the log's clock, however long it was on its way."""
    offset_ms = stamp_ms - mono_ms
    if process.offset_ms is not None:
        # One more with each report: two clocks part by less than a thousandth.
        offset_ms = min(offset_ms, process.offset_ms + 1)
    process.offset_ms = offset_ms
    return mono_ms + offset_ms
