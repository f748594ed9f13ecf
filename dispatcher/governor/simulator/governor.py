"""A governor on virtual time: a standby that may become the owner."""

from headrace.dispatcher.governor.epochs import Contest
from headrace.dispatcher.governor.owner import Owner
from headrace.dispatcher.governor.simulator.dispatcher import Places
from headrace.dispatcher.governor.simulator.log import Reader
from headrace.dispatcher.governor.takeover import reaches, take_over
from headrace.dispatcher.governor.tree import Tree
from headrace.schemas.journal import ProcessId
from headrace.schemas.limits import Beat, Claim, Command, Report

LAG_MS = 15
"""Its estimate of the log's time is behind by so much at most."""


class Governor:
    """One process. A freeze strikes between deciding on records and writing the rest of them."""

    def __init__(self, places: Places, name: ProcessId, rank: int, tree: Tree) -> None:
        """Start as a standby."""
        self.name = name
        self.alive = True
        self.owner: Owner | None = None
        self.frozen_until = 0
        self.tree = tree
        self._places = places
        self._clock = places.clock
        self._rng = places.rng
        self._lag = self._rng.randint(0, LAG_MS)
        self.contest = Contest(name, rank, places.story.timing, self._mono())
        self._reports: Reader[Report] | None = None
        log, timing = places.grants, places.story.timing
        since = self._now() - timing.lookback_ms(tree.window_ms) - timing.prefix_ms
        self._end = len(log.records)
        begin = self._end - (len(log.since(since)) or self._end)
        self._grants = log.reader(self._follow, position=begin)
        self._break_at: int | None = None
        self._turn = 0
        self._clock.at(self._clock.now + self._rng.randint(0, 99), self._tick)

    def kill(self) -> None:
        """Gone, with everything it knew."""
        self.alive = False
        self._grants.closed = True
        self._resign()

    def freeze_in_a_tick(self, until: int, records: int) -> None:
        """At the next tick it writes so many of its records, stands still, and writes the others later."""
        self._break_at = records
        self.frozen_until = -until

    def change(self, tree: Tree) -> None:
        """The limits are others from now on."""
        self.tree = tree
        if self.owner is not None:
            self.owner.change(tree)

    def _mono(self) -> int:
        return max(0, self._clock.now - self._lag)

    def _now(self) -> int:
        return self._mono() + self._places.grants.set_ms

    def _tick(self) -> None:
        if not self.alive:
            return
        now = self._clock.now
        if now < self.frozen_until:
            self._clock.at(self.frozen_until, self._tick)
            return
        if self.owner is not None:
            self._write(self.owner.tick(self.owner.now_ms(self._now(), self._mono())))
        else:
            if self._grants.position >= min(self._end, len(self._places.grants.records)):
                self.contest.caught_up(self._mono())
            if self.contest.epochs.current == 0:
                self._look_for_epochs()
            claim = self.contest.tick(self._mono())
            if claim is not None:
                self._write([claim])
        self._clock.at(now + self._places.story.timing.tick_ms, self._tick)

    def _write(self, records: list[Command]) -> None:
        at_once = len(records)
        if self._break_at is not None and records:
            at_once = self._break_at % (len(records) + 1)
            self.frozen_until = -self.frozen_until
            self._break_at = None
            self._grants.blocked_until = self.frozen_until
            if self._reports is not None:
                self._reports.blocked_until = self.frozen_until
        for record in records[:at_once]:
            self._places.grants.write(record)
        for record in records[at_once:]:
            self._clock.at(self.frozen_until, self._write_late, record)

    def _write_late(self, record: Command) -> None:
        if self.alive:
            self._places.grants.write(record)

    def _look_for_epochs(self) -> None:
        """An empty log may be one that was wiped: dispatchers know the epochs that it had."""
        lookback = self._places.story.timing.lookback_ms(self.tree.window_ms)
        for _, report in self._places.reports.since(self._now() - lookback):
            self.contest.heard_of(report.epoch)

    def _follow(self, _stamp: int, command: Command) -> None:
        won = self.contest.follow(command, self._mono())
        if won and isinstance(command, Claim):
            self._resign()
            position = self._grants.position
            wait = self._rng.randint(5, 300)
            self._clock.at(self._clock.now + wait, self._take_over, command, position)
        elif self.owner is not None:
            if isinstance(command, Beat):
                self.owner.read_back(command)
            if self.contest.epochs.current > self.owner.epoch:
                self._resign()

    def _take_over(self, claim: Claim, position: int) -> None:
        if not self.alive or self.contest.epochs.current != claim.epoch:
            return
        if self._clock.now < self.frozen_until:
            self._clock.at(self.frozen_until, self._take_over, claim, position)
            return
        story, log = self._places.story, self._places.grants
        owner = Owner(claim.epoch, self.tree, story.policy, story.timing, self._now())
        lookback = self._now() - story.timing.lookback_ms(self.tree.window_ms)
        since = lookback - story.timing.prefix_ms
        commands = [one for one in log.records[:position] if one[0] >= since]
        reports = self._places.reports.since(lookback)
        intact = reaches(log.records[0] if log.records else None, since)
        take_over(owner, commands, reports, now_ms=self._now(), intact=intact)
        if intact:
            self._places.witness.succeeded(owner.ledger)
        self.owner = owner
        end = len(self._places.reports.records)
        self._reports = self._places.reports.reader(self._hear, position=end)
        self._reports.blocked_until = self.frozen_until

    def _hear(self, stamp: int, report: Report) -> None:
        if self.owner is not None:
            self.owner.now_ms(self._now(), self._mono())
            self.owner.hear(report, stamp)
            if report.epoch > self.owner.epoch:
                self.contest.heard_of(report.epoch)
                self._resign()

    def _resign(self) -> None:
        self.owner = None
        if self._reports is not None:
            self._reports.closed = True
            self._reports = None
