"""The table of faults in docs/guarantees.md: new rows replace their own, others stay."""

from pathlib import Path

import msgspec
import pytest

from benchmarks.report.page import begin, end
from benchmarks.report.rows import Row as Figure
from benchmarks.report.rows import as_json
from faults.rig.row import PART, UNCHECKED, Row, as_figures, read_figures, with_figures, with_table

PAGE = f"before\n{begin(PART)}\n{end(PART)}\nafter\n"
ROOT = Path(__file__).parents[2]


def row(number: str, *findings: str) -> Row:
    """A row of a case that held, but for `findings`."""
    return Row(
        id=number,
        what="it is killed",
        holds="P1",
        requests=800,
        answered=800,
        lost=0,
        doubled=0,
        reexecuted=3,
        allowed=5,
        recover_s=9.1,
        findings=findings,
    )


def test_rows_stand_in_the_order_of_their_numbers() -> None:
    page = with_table(PAGE, with_figures("", [row("F18"), row("F2")], "abc"))
    assert page.index("| F2 |") < page.index("| F18 |")
    assert page.startswith("before\n")
    assert page.endswith("after\n")


def test_a_page_without_markers_is_refused() -> None:
    with pytest.raises(ValueError, match="no markers"):
        with_table("nothing", as_figures(row("F18")))


def test_a_case_with_findings_is_not_held_in_results_and_table() -> None:
    first, *others = as_figures(row("F18", "lost one"))
    assert (first.id, first.value, first.held) == ("F18", 1, False)
    assert "| F18 | it is killed | P1 | NO | 800 | 800 | 0 | 0 | 3 of 5 | 9.1 s |" in with_table(
        PAGE, [first, *others]
    )


def test_what_a_case_measured_stands_in_the_results_and_not_in_the_table() -> None:
    pace = Figure("F18", "throughput", 27.3, "requests/s")
    figures = as_figures(msgspec.structs.replace(row("F18"), measured=(pace,)))
    assert figures[-1] == pace
    assert with_table(PAGE, figures) == with_table(PAGE, as_figures(row("F18")))


def test_what_was_not_checked_counts_nothing() -> None:
    figures = as_figures(msgspec.structs.replace(row("F12"), lost=None))
    (lost,) = [one for one in figures if one.what == "lost"]
    assert (lost.value, lost.bar, lost.held) == (None, None, None)
    assert f"| yes | 800 | 800 | {UNCHECKED} | 0 |" in with_table(PAGE, figures)


def test_a_case_that_held_too_late_is_not_held() -> None:
    late = msgspec.structs.replace(row("F18"), late=("recovered after 13 s",))
    assert not late.held
    assert not late.findings


def test_the_results_keep_what_was_not_run_again_with_its_commit() -> None:
    old = with_figures("", [row("F2"), row("F18", "lost one")], "abc")
    figures = with_figures(as_json(old), [row("F18")], "def")
    assert figures == [*as_figures(row("F2"), "abc"), *as_figures(row("F18"), "def")]


def test_the_page_in_the_repository_shows_the_results_in_the_repository() -> None:
    page = (ROOT / "docs" / "guarantees.md").read_text("utf-8")
    results = (ROOT / "benchmarks" / "results" / "faults.json").read_text("utf-8")
    assert with_table(page, read_figures(results)) == page
