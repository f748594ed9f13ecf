"""The verdict on a run: from what clients saw, the upstream's log and the topics. Pure.

The product's own counters are never asked. Each group of rules stands in a module of its own:
`check_answers` (nothing lost, nothing doubled, every byte the upstream's), `check_letters` (P15),
`check_calls` (P3, P6, and no two calls of one request at a time), `check_limit` (P5),
`check_breaker`.
"""

from collections.abc import Iterator

import msgspec

from headrace.cli.demo.check_answers import check_answers, check_records
from headrace.cli.demo.check_breaker import check_breaker
from headrace.cli.demo.check_calls import calls_by_id, check_calls
from headrace.cli.demo.check_letters import check_letters
from headrace.cli.demo.check_limit import check_limit
from headrace.cli.demo.evidence import Evidence, Limited, Tripped, was_cut
from headrace.cli.demo.finals import Final, finals_by_id
from headrace.cli.demo.findings import AnswerOf, Finding, Kind, Rules
from headrace.cli.mock.log import LoggedCall
from headrace.schemas.names import Outcome


class Findings(msgspec.Struct, frozen=True, kw_only=True):
    """What did not hold, and the figures of the run."""

    found: tuple[Finding, ...]
    sent: int
    answered: int
    dead_lettered: int
    retried: int
    """Requests that were called again after a failed call."""
    cut: int
    """Calls in flight at the killed dispatcher."""
    recovered: int
    """Of these, requests that another dispatcher brought to their end."""
    upstream_calls: int
    limited: Limited | None = None
    tripped: Tripped | None = None

    @property
    def lost(self) -> int:
        """Requests that are lost."""
        return self._count(Kind.LOST)

    @property
    def doubled(self) -> int:
        """Requests that were seen twice."""
        return self._count(Kind.DOUBLED)

    def _count(self, kind: Kind) -> int:
        return len({finding.name for finding in self.found if finding.kind is kind})


def check(evidence: Evidence, rules: Rules, answer_of: AnswerOf) -> Findings:
    """Judge a run whose last request has ended and whose processes have stopped."""
    finals = finals_by_id(evidence.dump.replies)
    calls = calls_by_id(evidence.calls)
    found = (
        *check_records(evidence, rules),
        *check_answers(evidence, rules, finals, answer_of),
        *check_letters(evidence, rules, calls),
        *check_calls(evidence, rules, finals, calls),
        *_check_kill(evidence, rules, finals),
        *check_limit(evidence),
        *check_breaker(evidence),
    )
    ended = [finals[asked.request_id] for asked in evidence.history if asked.request_id in finals]
    return Findings(
        found=found,
        sent=len(evidence.history),
        answered=sum(asked.status == 200 and not asked.error for asked in evidence.history),
        dead_lettered=sum(each[0].outcome is Outcome.DEAD_LETTERED for each in ended),
        retried=sum(any(map(_failed, mine[:-1])) for mine in calls.values()),
        cut=len(_cut(evidence)),
        recovered=len(list(_recovered(evidence, rules, finals))),
        upstream_calls=len(evidence.calls),
        limited=evidence.limited,
        tripped=evidence.tripped,
    )


def _failed(call: LoggedCall) -> bool:
    return call.finished is not None and call.finished.status >= 400


def _cut(evidence: Evidence) -> set[str]:
    """Ids of the calls that the kill cut."""
    return {c.received.request_id for c in evidence.calls if was_cut(c, evidence.kill)}


def _recovered(evidence: Evidence, rules: Rules, finals: dict[str, list[Final]]) -> Iterator[str]:
    """Ids of requests cut by the kill and ended as they should later: the dead do not write."""
    cut = _cut(evidence)
    for asked in evidence.history:
        mine = finals.get(asked.request_id)
        late = mine is not None and evidence.kill and mine[0].timestamp > evidence.kill.after
        well = asked.model in rules.impossible or (asked.status == 200 and not asked.error)
        if asked.request_id in cut and late and well:
            yield asked.request_id


def _check_kill(
    evidence: Evidence, rules: Rules, finals: dict[str, list[Final]]
) -> Iterator[Finding]:
    if evidence.kill is None:
        return
    cut = _cut(evidence)
    if len(cut) < rules.least_held:
        what = f"{len(cut)} calls were in flight at the killed dispatcher, not {rules.least_held}"
        yield Finding(Kind.KILL, "dispatcher", what)
    for request_id in sorted(cut - set(_recovered(evidence, rules, finals))):
        what = "its call was in flight at the kill, and no other dispatcher brought it to its end"
        yield Finding(Kind.KILL, request_id, what)
