"""The parts of the demo with a limit and with a breaker: what is counted, and what the check finds."""

from collections.abc import Iterable

import msgspec
import pytest

from headrace.cli.demo import outage, quota
from headrace.cli.demo.beside import without
from headrace.cli.demo.check import check
from headrace.cli.demo.evidence import Limited, Tripped
from headrace.cli.demo.findings import Kind
from headrace.cli.demo.summary import figures, last_line
from headrace.cli.mock.log import Finished, LoggedCall, Outcome, Received
from headrace.schemas.breakers import State, Transition, Why
from headrace.schemas.names import DeploymentName
from support.evidence import RULES, answer_of, good_run

KEPT = Limited(limit=120, most=120, refused=0, asked=150, answered=120, late=30)


def calls(times: Iterable[int], model: str = quota.MODEL, status: int = 200) -> list[LoggedCall]:
    """Calls of one model at these times."""
    return [
        LoggedCall(
            Received(number, at, "/v1/chat/completions", "", 1, model),
            Finished(number, at + 1, Outcome.ANSWERED, status),
        )
        for number, at in enumerate(times, 1)
    ]


def found(limited: Limited) -> list[str]:
    evidence = msgspec.structs.replace(good_run(), limited=limited)
    return [one.what for one in check(evidence, RULES, answer_of).found if one.kind is Kind.LIMIT]


def test_a_call_leaves_the_count_after_exactly_a_minute() -> None:
    assert quota.most(calls([0, 59_999])) == 2
    assert quota.most(calls([0, 60_000])) == 1
    assert quota.most(calls([])) == 0


def test_calls_of_other_models_are_not_counted() -> None:
    every = [*calls([1, 2]), *calls([3], status=429), *calls([4, 5, 6], model="other")]
    seen = quota.limited(every, [200, 200, 504, 429, 0])
    assert (seen.most, seen.refused, seen.answered, seen.late) == (3, 1, 2, 2)


def test_a_kept_limit_is_no_finding() -> None:
    assert found(KEPT) == []


@pytest.mark.parametrize(
    ("changed", "what"),
    [
        ({"most": 121}, "121 calls within 60 s, 120 are allowed"),
        ({"refused": 1}, "the upstream refused 1 calls with 429"),
        ({"most": 113}, "only 113 of 120 calls within 60 s"),
        ({"answered": 113, "late": 37}, "only 113 requests were answered, 120 are allowed"),
        ({"late": 29}, "1 of 150 requests had neither an answer nor a refusal in time"),
    ],
)
def test_whatever_is_wrong_with_the_limit_is_told(changed: dict[str, int], what: str) -> None:
    assert found(msgspec.structs.replace(KEPT, **changed)) == [what]


def test_records_of_the_limited_requests_are_left_to_the_count() -> None:
    dump = good_run().dump
    ids = {one.header("ce_id") for one in dump.requests}
    assert without(dump, ids).requests == ()
    assert without(dump, set()) == dump


def test_the_summary_tells_the_upstreams_count() -> None:
    evidence = msgspec.structs.replace(good_run(), limited=KEPT)
    findings = check(evidence, RULES, answer_of)
    assert last_line(findings, 1).endswith(" seconds=1 limit=120 limit_most=120 limit_refused=0")
    assert "at most 120 in any 60 s" in figures(findings, [], None)["limit"]


TRIPPED = Tripped(
    failed=20, opened=1, closed=1, opened_after_ms=2_400, closed_after_ms=7_000, asked=9, answered=9
)


def test_the_breakers_way_is_read_from_its_history() -> None:
    def move(at_ms: int, before: State, after: State) -> Transition:
        name = DeploymentName(outage.MODEL)
        return Transition(
            deployment=name,
            epoch=1,
            number=1,
            at_ms=at_ms,
            before=before,
            after=after,
            why=Why.ERRORS,
        )

    history = [
        move(3_000, State.CLOSED, State.OPEN),
        move(6_000, State.OPEN, State.HALF_OPEN),
        move(9_000, State.RAMP, State.CLOSED),
    ]
    failing = calls([1_000, 2_000], outage.MODEL, status=500)
    seen = outage.tripped(failing, history, [200])
    assert (seen.failed, seen.opened, seen.closed) == (2, 1, 1)
    assert (seen.opened_after_ms, seen.closed_after_ms) == (2_000, 6_000)


@pytest.mark.parametrize(
    ("changed", "what"),
    [
        ({}, []),
        ({"opened": 0}, ["20 calls failed, and it never opened"]),
        ({"closed": 0}, ["it opened 1 times and never closed"]),
        ({"answered": 8}, ["8 of 9 requests were answered"]),
    ],
)
def test_whatever_is_wrong_with_the_breaker_is_told(
    changed: dict[str, int], what: list[str]
) -> None:
    tripped = msgspec.structs.replace(TRIPPED, **changed)
    evidence = msgspec.structs.replace(good_run(), tripped=tripped)
    told = check(evidence, RULES, answer_of).found
    assert [one.what for one in told if one.kind is Kind.BREAKER] == what
