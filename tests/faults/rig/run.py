"""Plays cases one after the other and judges each: by its own findings and by the history checker."""

import asyncio
import shutil
import time
import traceback
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from benchmarks.report.rows import figure
from faults.history.check import check_folder
from faults.history.dump import dump
from faults.history.events import Fail, Unknown
from faults.history.folder import Run, write_run
from faults.history.history import History
from faults.history.violation import Promise
from faults.rig.brokers import Cluster
from faults.rig.case import Case
from faults.rig.fleet import Fleet
from faults.rig.play import Play, now_ms
from faults.rig.row import Row

SHOWN = 5
"""Violations of a case that are told one by one."""


class Brokers:
    """The cluster that is up now; cases that leave it whole share it. Used as a context."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._number = 0
        self._cluster: Cluster | None = None

    @asynccontextmanager
    async def fit_for(self, case: Case) -> AsyncIterator[Cluster]:
        """A whole cluster of as many brokers as `case` wants."""
        if self._cluster is None or self._cluster.count != case.brokers:
            await self.close()
            self._number += 1
            cluster = Cluster(self._folder / f"kafka-{self._number}", case.brokers)
            self._cluster = await cluster.__aenter__()
        whole = False
        try:
            yield self._cluster
            whole = not case.spoils
        finally:
            if not whole:
                await self.close()

    async def close(self) -> None:
        """End it; a second call does nothing."""
        cluster, self._cluster = self._cluster, None
        if cluster is not None:
            await cluster.__aexit__(None, None, None)
            # Its preallocated indexes are gigabytes to whoever copies them.
            shutil.rmtree(cluster.folder, ignore_errors=True)


async def play_all(cases: Iterable[Case], folder: Path) -> AsyncIterator[Row]:
    """Each case's row, as soon as it is over. What a held case left on the disk is deleted."""
    brokers = Brokers(folder)
    try:
        for case in cases:
            row = await play_case(case, brokers, folder / case.id)
            if row.held:
                shutil.rmtree(folder / case.id, ignore_errors=True)
            yield row
    finally:
        await brokers.close()


async def play_case(case: Case, brokers: Brokers, folder: Path) -> Row:
    """Nothing that a case raises ends the run: it is a finding."""
    folder.mkdir(parents=True)
    began = time.monotonic()
    play: Play | None = None
    broke: list[str] = []
    try:
        async with brokers.fit_for(case) as cluster, keeping_logs(cluster, folder):
            fleet = Fleet(cluster, case.shape, folder)
            with History(folder, now_ms) as history:
                async with fleet:
                    play = Play(fleet, history)
                    async with asyncio.timeout(case.limit_s):
                        await case.script(play)
                        if play.settled:
                            await play.settle()
            await dump(folder, cluster.bootstrap, fleet.prefix)
        _describe(case, play, folder)
    except Exception as error:  # noqa: BLE001  told in the row, with its trace beside the logs
        broke.append(f"{type(error).__name__}: {error}")
        (folder / "error.txt").write_text("".join(traceback.format_exception(error)))
    try:
        row = _judged(case, folder, play, broke)
    except Exception as error:  # noqa: BLE001  evidence that no checker can read is a finding, too
        (folder / "error.txt").write_text("".join(traceback.format_exception(error)))
        broke.append(f"the checker failed: {type(error).__name__}: {error}")
        row = _judged(case, folder, play, broke)
    row = msgspec.structs.replace(row, took_s=round(time.monotonic() - began, 1))
    (folder / "findings.txt").write_text("\n".join(row.all_findings))
    return row


@asynccontextmanager
async def keeping_logs(cluster: Cluster, folder: Path) -> AsyncIterator[None]:
    """Put what the brokers wrote beside the case's other logs."""
    try:
        yield
    finally:
        for broker in cluster.brokers:
            (folder / "logs").mkdir(exist_ok=True)
            shutil.copyfile(broker.log, folder / "logs" / f"{broker.name}.log")


def _describe(case: Case, play: Play, folder: Path) -> None:
    """What the checker must know of the setting."""
    seats = case.shape.seats * case.shape.dispatchers
    models = dict.fromkeys(case.shape.models, seats) if case.seats_checked else {}
    run = Run(prefix=play.fleet.prefix, seats=models, settled=play.settled)
    write_run(folder, run)


def _judged(case: Case, folder: Path, play: Play | None, broke: list[str]) -> Row:
    findings = broke + (play.findings if play else [])
    verdict = None if broke else check_folder(folder)
    counted = verdict.figures if verdict else None
    broken = verdict.broken if verdict else Counter[Promise]()
    more = play.more_allowed if play else 0
    if verdict is not None and counted is not None:
        violations = [one for one in verdict.violations if one.promise not in case.unchecked]
        findings += [str(one) for one in violations[:SHOWN]]
        if len(violations) > SHOWN:
            findings.append(f"and {len(violations) - SHOWN} violations more")
        if counted.re_executed > counted.allowed + more:
            findings.append(f"{counted.re_executed} re-executed, {counted.allowed + more} allowed")
    if play is not None:
        findings += _clients(play)
    return Row(
        id=case.id,
        what=case.what,
        holds=case.holds,
        requests=(counted.sent if counted else 0) + (play.asked if play else 0),
        answered=(counted.ok + counted.failed if counted else 0) + (play.answered if play else 0),
        lost=None if Promise.P1 in case.unchecked else broken[Promise.P1],
        doubled=None if Promise.P2 in case.unchecked else broken[Promise.P2],
        reexecuted=counted.re_executed if counted else 0,
        allowed=(counted.allowed if counted else 0) + more,
        recover_s=play.recover_s if play else None,
        findings=tuple(findings),
        late=tuple(play.late) if play else (),
        measured=tuple(figure(case.id, *one) for one in play.measured) if play else (),
    )


def _clients(play: Play) -> Iterator[str]:
    """What clients saw that the case does not allow."""
    events = play.events
    unknown = [one for one in events if isinstance(one, Unknown)]
    if unknown and not play.unknown_allowed:
        yield f"{len(unknown)} clients got no answer, the first: {unknown[0].why}"
    codes = Counter(one.seen.code for one in events if isinstance(one, Fail))
    if set(codes) - play.errors_allowed:
        yield f"errors seen by clients: {dict(codes)}"
