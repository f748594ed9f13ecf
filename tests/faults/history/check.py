"""The verdict on a folder: every check, the figures beside them, a table."""

import time
from collections import Counter
from pathlib import Path

import msgspec
from rich.table import Table

from faults.history.arrange import gather
from faults.history.checks.bounded_calls import bounded_calls, re_executed
from faults.history.checks.fencing import no_older_output
from faults.history.checks.letters import complete_letters
from faults.history.checks.never_early import never_early
from faults.history.checks.no_loss import no_acknowledged_loss
from faults.history.checks.offset_law import committed_has_outcome
from faults.history.checks.one_result import duplicates, one_visible_result
from faults.history.checks.seats import seats_kept
from faults.history.checks.stream_law import whole_prefix_of_one_attempt
from faults.history.checks.tenants import no_foreign_answer
from faults.history.events import Fail, Ok, Way
from faults.history.evidence import Evidence
from faults.history.folder import CALLS, read_commits, read_records, read_run
from faults.history.history import read_history
from faults.history.violation import Check, Promise, Violation
from headrace.cli.mock.log import read_log

CHECKS: dict[Promise, tuple[str, Check]] = {
    Promise.P1: ("no acknowledged loss", no_acknowledged_loss),
    Promise.P2: ("one visible result", one_visible_result),
    Promise.P3: ("bounded re-execution", bounded_calls),
    Promise.P4: ("offset law", committed_has_outcome),
    Promise.P5: ("seats", seats_kept),
    Promise.P6: ("never early", never_early),
    Promise.P8: ("tenant law", no_foreign_answer),
    Promise.P11: ("stream law", whole_prefix_of_one_attempt),
    Promise.P13: ("fencing", no_older_output),
    Promise.P15: ("dead letters complete", complete_letters),
}


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """Counts of a run."""

    sent: int
    ok: int
    failed: int
    unknown: int
    """Clients without an answer."""
    records: int
    """Requests that reached a lane."""
    calls: int
    duplicates: int
    """Ends beyond the first of a request, in the topics; nobody saw them."""
    re_executed: int
    allowed: int
    """Re-executions that the crashes would explain."""
    retries: int
    letters: int
    commits: int
    faults: int


class Verdict(msgspec.Struct, frozen=True):
    """Judged."""

    violations: tuple[Violation, ...]
    figures: Figures
    seconds: float
    """That the check took, reading included."""

    @property
    def broken(self) -> Counter[Promise]:
        """Violations by promise."""
        return Counter(one.promise for one in self.violations)


def check_folder(folder: Path) -> Verdict:
    """Read and judge. Raises OSError or `msgspec.MsgspecError` where evidence is missing or torn."""
    began = time.monotonic()
    evidence = gather(
        read_run(folder),
        read_history(folder),
        read_log(folder / CALLS),
        read_records(folder),
        read_commits(folder),
    )
    violations = check(evidence)
    return Verdict(violations, figures_of(evidence), time.monotonic() - began)


def check(evidence: Evidence) -> tuple[Violation, ...]:
    """Every violation of every promise."""
    return tuple(found for _, run in CHECKS.values() for found in run(evidence))


def figures_of(evidence: Evidence) -> Figures:
    """Count."""
    asked = [one for one in evidence.asked.values() if one.invoke.way is not Way.PEEK]
    outcomes = Counter(type(one.outcome) for one in asked)
    beyond, allowed = re_executed(evidence)
    return Figures(
        sent=len(asked),
        ok=outcomes[Ok],
        failed=outcomes[Fail],
        unknown=len(asked) - outcomes[Ok] - outcomes[Fail],
        records=sum(map(len, evidence.requests.values())),
        calls=sum(map(len, evidence.calls.values())),
        duplicates=duplicates(evidence),
        re_executed=beyond,
        allowed=allowed,
        retries=sum(map(len, evidence.delays.values())),
        letters=sum(map(len, evidence.letters.values())),
        commits=len(evidence.commits),
        faults=len(evidence.faults),
    )


def as_table(verdict: Verdict) -> Table:
    """One row a promise."""
    figures = verdict.figures
    title = (
        f"{figures.sent} requests: {figures.ok} ok, {figures.failed} failed, "
        f"{figures.unknown} unknown; {figures.calls} calls, {figures.duplicates} repeats dropped, "
        f"{figures.re_executed} of {figures.allowed} allowed re-executions; "
        f"{figures.commits} commits, {figures.faults} faults; checked in {verdict.seconds:.1f} s"
    )
    table = Table("promise", "", "violations", "first", title=title, title_justify="left")
    for promise, (name, _) in CHECKS.items():
        found = [one for one in verdict.violations if one.promise is promise]
        first = str(found[0]).partition(": ")[2] if found else ""
        count = f"[bold red]{len(found)}[/bold red]" if found else "[green]0[/green]"
        table.add_row(promise.value, name, count, first)
    return table
