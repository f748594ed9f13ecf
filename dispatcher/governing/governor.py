"""A governor process: a standby that follows the grants, and the owner while the log says so.

How it works. One loop takes turns: an owner ticks, a standby looks whether the owner is silent and claims.
Whoever reads its own claim first in the log reads what was granted and spent, beating meanwhile, and is the
owner until it reads of a newer epoch. Nothing here waits for Kafka: a turn finds that what it decided last
is not acknowledged and is left out, and an owner that does not read its own beats grants nothing.

All decisions are in `dispatcher.governor`, and the log decides between processes.
"""

import asyncio
from contextlib import suppress
from typing import Final
from zlib import crc32

from headrace.dispatcher.clock import BrokerTime
from headrace.dispatcher.governing.breakers import Breakers
from headrace.dispatcher.governing.metrics import Metrics
from headrace.dispatcher.governing.restraints import tell
from headrace.dispatcher.governor.allocation import AllocationPolicy
from headrace.dispatcher.governor.epochs import Contest
from headrace.dispatcher.governor.outlook import Outlooks
from headrace.dispatcher.governor.owner import Owner
from headrace.dispatcher.governor.takeover import PastReports, reaches, take_over
from headrace.dispatcher.governor.timing import Timing
from headrace.dispatcher.governor.tree import Tree
from headrace.dispatcher.kafka.limit_log import LimitLog, Past, Placed
from headrace.dispatcher.operated import Operated
from headrace.schemas.clock import BrokerClock
from headrace.schemas.journal import ProcessId
from headrace.schemas.limits import NO_SESSION, Beat, Claim, Command, Epoch, Flow, Report
from headrace.telemetry.logs import Log

RANKS: Final = 2
"""Processes wait `claim_step_ms` longer or not, by their names: it spares most of the claims that lose,
and a claim that loses costs nothing but its record."""
LATE_S: Final = 0.5
"""Who woke later than that was frozen: the owner's beats may lie unread."""
TAKEOVER_S: Final = 10.0
"""A log that takes longer to be read is left to others."""
DEAF_S: Final = 5.0
"""With no record of any owner for this long, Kafka is away."""
SHOWN_S: Final = 1.0
"""How often the metrics of an owner are renewed."""


class Governor:
    """One process's part. `run` takes turns until cancelled; what is read comes in between."""

    def __init__(
        self,
        name: ProcessId,
        tree: Tree,
        policy: AllocationPolicy,
        *,
        limits: LimitLog,
        breakers: Breakers,
        clock: BrokerTime,
        metrics: Metrics,
        log: Log,
    ) -> None:
        self.owner: Owner | None = None
        self.operated = Operated(log)
        self._outlooks = Outlooks(policy.weights)
        self._timing = Timing()
        self._tree = tree
        self._policy = policy
        self._limits = limits
        self._breakers = breakers
        self._clock = clock
        self._metrics = metrics
        self._log = log
        self._contest = Contest(name, rank_of(name), self._timing, self._mono_ms())
        self._won: Placed | None = None
        """The own claim, while it is not the owner yet."""
        self._past = PastReports()
        """What came since then. Bounded by what is read in `TAKEOVER_S`."""
        self._reports_time = BrokerClock(0)
        self._heard_s = self._turned_s = clock.monotonic()
        self._shown_s = 0.0
        self._woken = asyncio.Event()
        self._stirred = False
        """Whether something is to be looked at before the next beat."""

    @property
    def deaf(self) -> bool:
        """Whether nothing of any owner was read, its own records neither: never yet, or not for a while."""
        silent_s = self._clock.monotonic() - self._heard_s
        return self._contest.epochs.current == 0 or silent_s > DEAF_S

    def limit(self, tree: Tree) -> None:
        """The limits are these from now on."""
        if tree != self._tree:
            self._tree = tree
            self._log.info("limits_changed", count=len(tree.scopes))
            if self.owner is not None:
                self.owner.change(tree)

    async def start(self) -> None:
        """Know who owns the partition. A Kafka that is away is waited for."""
        self.operated.listeners.append(self._operators_changed)
        await self._limits.follow_settings(self.operated, self._clock.now_ms)
        await self._limits.follow_grants(self._follow)
        if self._contest.epochs.current == 0:
            # An empty log may be one that was wiped: dispatchers know the epochs that it had.
            await self._limits.recent_reports(self._heard_of)
        await self._breakers.start()
        # Its rows outlive the grants: a claim below their epoch would be believed by nobody.
        self._contest.heard_of(Epoch(self._breakers.epoch))
        self._contest.caught_up(self._mono_ms())

    def _operators_changed(self, now_ms: int) -> None:
        self._breakers.ordered(self.operated.settings.breakers(now_ms))
        self._stir()

    async def run(self) -> None:
        """Take turns until cancelled."""
        while True:
            late = await self._pause()
            self.operated.tick(self._now_ms())
            self._breakers.tick(self._now_ms())
            if self._won is not None:
                await self._succeed(self._won)
            elif not self._limits.free:
                self._metrics.skipped()
            elif self.owner is not None:
                self._tick(self.owner)
            elif not late:
                self._claim()

    async def _pause(self) -> bool:
        """Until the next turn; True if it came much too late."""
        while (left_s := self._due_s() - self._clock.monotonic()) > 0:
            self._woken.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(left_s):
                    await self._woken.wait()
        late_s = -left_s
        self._turned_s = self._clock.monotonic()
        self._stirred = False
        return late_s > LATE_S

    def _stir(self) -> None:
        self._stirred = True
        self._woken.set()

    def _due_s(self) -> float:
        """When the next turn is, as far as is known now."""
        owner, timing = self.owner, self._timing
        if owner is not None and owner.pressed:
            return self._turned_s + timing.press_ms / 1000
        if self._stirred or self._won is not None or owner is None or owner.waiting():
            return self._turned_s + timing.tick_ms / 1000
        return self._turned_s + timing.beat_ms / 1000

    def _tick(self, owner: Owner) -> None:
        self._append(owner.tick(owner.now_ms(self._now_ms(), self._mono_ms())))
        if self._turned_s - self._shown_s >= SHOWN_S:
            self._shown_s = self._turned_s
            self._metrics.observe(owner)
            self._limits.tell(self._outlooks.of(owner))

    def _claim(self) -> None:
        claim = self._contest.tick(self._mono_ms())
        if claim is not None:
            self._log.info("governor_claims", epoch=claim.epoch)
            self._append([claim])

    def _append(self, commands: list[Command]) -> None:
        if commands:
            self._metrics.decided(commands)
            self._limits.append(commands)

    def _follow(self, placed: Placed) -> None:
        """The next record of the grants."""
        self._heard_s = self._clock.monotonic()
        command, owner = placed.command, self.owner
        won = self._contest.follow(command, self._mono_ms())
        current = self._contest.epochs.current
        if isinstance(command, Claim):
            self._metrics.follows(current)
        if owner is not None and isinstance(command, Beat):
            owner.read_back(command)
        mine = owner.epoch if owner else self._won.command.epoch if self._won else None
        if mine is not None and current > mine:
            self._resign("another_owner")
        if won:
            self._clock.acked(placed.stamp_ms)
            self._won = placed
            self._stir()

    def _heard_of(self, _: int, report: Report) -> None:
        if not self._contest.heard_of(report.epoch):
            self._metrics.implausible()

    def _hear(self, stamp_ms: int, report: Report) -> None:
        """The next report."""
        owner = self.owner
        if owner is None:
            if self._won is not None:
                self._past.add(stamp_ms, report)
            return
        self._metrics.heard()
        self._reports_time.observe(stamp_ms, self._mono_ms())
        news = self._breakers.hear(report, stamp_ms)
        owner.now_ms(self._now_ms(), self._mono_ms())
        owner.hear(report, stamp_ms)
        news = tell(owner.restraints.news(), self._log) or news
        if news or owner.pressed or any(told.want for told in report.flows):
            self._stir()
        if report.epoch > owner.epoch:
            if self._contest.heard_of(report.epoch):
                self._resign("another_epoch")
            else:
                self._metrics.implausible()

    async def _succeed(self, won: Placed) -> None:
        """Become the owner, unless somebody else has become it meanwhile."""
        began_s = self._clock.monotonic()
        past = await self._read_past(won)
        if self._won is not won:
            self._limits.leave_reports()
            return
        if past is None:
            self._resign("unreadable")
            return
        now_ms, since_ms = self._now_ms(), self._since_ms(won)
        intact = reaches(past.first, since_ms - self._timing.prefix_ms)
        grants = [(one.stamp_ms, one.command) for one in past.grants]
        owner = Owner(won.command.epoch, self._tree, self._policy, self._timing, now_ms)
        owner.hold(self._is_held)
        sessions = [one for one in self._past.heard if one[1].session != NO_SESSION]
        take_over(owner, grants, sessions, now_ms=now_ms, intact=intact)
        self._breakers.take_over(owner.epoch, self._past.heard, owner.restraints.rests)
        owner.hold_back(self._breakers.share)
        self.owner, self._won, self._past = owner, None, PastReports()
        self._metrics.took_over(took_s := self._clock.monotonic() - began_s)
        self._log.info(
            "governor_owns",
            epoch=owner.epoch,
            count=len(owner.sessions),
            state="intact" if intact else "unknown_past",
            dur_ms=round(took_s * 1000),
        )

    async def _read_past(self, won: Placed) -> Past | None:
        """Beat while it is read, so that nobody else claims. None: not in time, or not any more."""
        self._reports_time = BrokerClock(0)
        self._past = PastReports()
        since_ms = self._since_ms(won)
        reading = asyncio.create_task(self._read_logs(won, since_ms))
        give_up_s = self._clock.monotonic() + TAKEOVER_S
        try:
            while not reading.done() and self._won is won:
                await asyncio.wait((reading,), timeout=self._timing.beat_ms / 1000)
                if self._clock.monotonic() > give_up_s:
                    return None
                if not reading.done() and self._won is won and self._limits.free:
                    self._append([Beat(won.command.epoch, 0)])
            return reading.result() if reading.done() else None
        finally:
            reading.cancel()

    async def _read_logs(self, won: Placed, since_ms: int) -> Past | None:
        await self._breakers.catch_up()
        return await self._limits.history(
            won,
            grants_ms=since_ms - self._timing.prefix_ms,
            reports_ms=min(since_ms, won.stamp_ms - self._breakers.lookback_ms),
            take=self._hear,
        )

    def _is_held(self, flow: Flow, now_ms: int) -> bool:
        return self.operated.holding_flow(flow, now_ms) is not None

    def _resign(self, reason: str) -> None:
        self._log.info("governor_resigns", reason=reason, epoch=self._contest.epochs.current)
        self._metrics.resigned(reason)
        self.owner = self._won = None
        self._breakers.resign()
        self._past = PastReports()
        self._limits.leave_reports()

    def _since_ms(self, won: Placed) -> int:
        return won.stamp_ms - self._timing.lookback_ms(self._tree.window_ms)

    def _mono_ms(self) -> int:
        return int(self._clock.monotonic() * 1000)

    def _now_ms(self) -> int:
        """Broker time. Grants and reports may lie on two brokers: never later than the slower clock."""
        now_ms = self._clock.now_ms()
        if self._reports_time.known:
            now_ms = min(now_ms, self._reports_time.now_ms(self._clock.monotonic() * 1000))
        return now_ms


def rank_of(name: ProcessId) -> int:
    """Its place among those that claim, without asking anybody."""
    return crc32(name.encode()) % RANKS
