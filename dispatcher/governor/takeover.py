"""What a new owner knows from the logs: grants in force, and what was spent since.

How it works. Both partitions are read from far enough back (`Timing.lookback_ms`, and for the grants
`prefix_ms` more) and folded in the order of their stamps: grants up to the new owner's own claim, as far as
they count; reports as far as there are any. Grants state what their writer had heard, so an account begins
where it stood. What is not known stays outstanding: lost information costs use of the limit, never safety.
"""

from collections.abc import Iterable, Sequence
from heapq import merge

from msgspec.structs import replace

from headrace.dispatcher.governor.epochs import Epochs
from headrace.dispatcher.governor.owner import Owner
from headrace.schemas.journal import SessionId
from headrace.schemas.limits import (
    Beat,
    Claim,
    Command,
    End,
    Flow,
    FlowReport,
    Grants,
    Learned,
    Report,
    Units,
)

Stamped = tuple[int, Command]
Heard = tuple[int, Report]


class PastReports:
    """What a new owner reads of the reports, in their order: of each session's older ones only what changed.

    A dispatcher repeats all its counters and queues several times a second.
    """

    def __init__(self) -> None:
        """Nothing was read."""
        self.heard: list[Heard] = []
        self._newest: dict[SessionId, int] = {}
        self._told: dict[SessionId, dict[Flow, tuple[Units, Units, int]]] = {}

    def add(self, stamp_ms: int, report: Report) -> None:
        """The next one."""
        before = self._newest.get(report.session)
        if before is not None:
            self._thin(before)
        self._newest[report.session] = len(self.heard)
        self.heard.append((stamp_ms, report))

    def _thin(self, at: int) -> None:
        stamp_ms, report = self.heard[at]
        told = self._told.setdefault(report.session, {})
        flows: list[FlowReport] = []
        for flow in report.flows:
            counters = (flow.spent, flow.renounced, flow.ended)
            if flow.refunds or told.get(flow.flow) != counters:
                told[flow.flow] = counters
                flows.append(replace(flow, want=[], usual=None, queued=0))
        self.heard[at] = (stamp_ms, replace(report, flows=flows))


def take_over(
    owner: Owner,
    commands: Sequence[Stamped],
    reports: Sequence[Heard],
    *,
    now_ms: int,
    intact: bool,
) -> None:
    """Bring a new owner up to date. Records come in the order of their logs, as (stamp, record).

    `intact`: the grants reach as far back as they were asked for, or further.
    """
    if not intact and not _fresh(reports):
        owner.shut(now_ms)
    counting = Epochs()
    counted = [one for one in commands if counting.counts(one[1])]
    newest = {report.session: report for _, report in reports}
    for stamp_ms, record in _in_time(counted, reports):
        if isinstance(record, Report):
            # What was queued when an older one was sent is of no use: counters alone are.
            owner.hear(record, stamp_ms, queued=newest[record.session] is record)
        else:
            _restore(owner, record, stamp_ms, intact=intact)
    owner.ledger.advance(now_ms)


def reaches(first: Stamped | None, since_ms: int) -> bool:
    """Whether a log of grants tells everything since then. `first` is the first record that is there.

    One that begins with the first epoch of all has never been wiped: a claimant that finds no epoch asks
    the reports for those that dispatchers know, and claims above them.
    """
    if first is None:
        return False
    stamp_ms, record = first
    return stamp_ms < since_ms or (isinstance(record, Claim) and record.epoch == 1)


def _fresh(reports: Iterable[Heard]) -> bool:
    """Whether nobody was ever granted anything: a new installation."""
    newest = {report.session: report for _, report in reports}
    return not any(report.granted or report.epoch for report in newest.values())


def _in_time(
    commands: Sequence[Stamped], reports: Sequence[Heard]
) -> Iterable[tuple[int, Command | Report]]:
    """By stamp; each log keeps its own order, also where the broker's clock went back."""
    first: Iterable[tuple[int, Command | Report]] = _rising(commands)
    second: Iterable[tuple[int, Command | Report]] = _rising(reports)
    return merge(first, second, key=lambda one: one[0])


def _rising(
    records: Iterable[tuple[int, Command]] | Iterable[tuple[int, Report]],
) -> Iterable[tuple[int, Command | Report]]:
    newest_ms = 0
    for stamp_ms, record in records:
        newest_ms = max(newest_ms, stamp_ms)
        yield newest_ms, record


def _restore(owner: Owner, command: Command, stamp_ms: int, *, intact: bool) -> None:
    match command:
        case Grants():
            for told in command.sessions:
                session = owner.sessions.get(told.session)
                if session is None:
                    session = owner.meet(told.session, stamp_ms=stamp_ms)
                owner.restated(session, intact=intact)
                for flow in told.flows:
                    owner.ledger.restate(told.session, flow, stamp_ms)
        case End():
            ended = owner.sessions.get(command.session)
            if ended is not None and ended.over_ms is None:
                owner.end(ended, command.stamp_ms)
        case Learned():
            owner.restraints.take(command)
        case Beat():
            owner.ledger.advance(stamp_ms)
