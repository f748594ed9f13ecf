"""The table of faults in docs/guarantees.md: new rows replace their own, others stay."""

from pathlib import Path

import msgspec
import pytest

from benchmarks.report.rows import as_json
from faults.rig.row import BEGIN, END, Row, as_figures, with_figures, with_table

PAGE = f"before\n{BEGIN}\n{END}\nafter\n"


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
    page = with_table(PAGE, [row("F18"), row("F2")])
    assert page.index("| F2 |") < page.index("| F18 |")
    assert page.startswith("before\n")
    assert page.endswith("after\n")


def test_a_case_that_was_run_again_replaces_its_row_and_no_other() -> None:
    page = with_table(with_table(PAGE, [row("F18"), row("F2")]), [row("F18", "lost one")])
    assert page.count("| F18 |") == page.count("| F2 |") == 1
    (line,) = [line for line in page.splitlines() if line.startswith("| F18 |")]
    assert "| NO |" in line


def test_a_page_without_markers_is_refused() -> None:
    with pytest.raises(ValueError, match="no markers"):
        with_table("nothing", [row("F18")])


def test_a_case_with_findings_is_not_held_in_the_results_either() -> None:
    first, *_ = as_figures([row("F18", "lost one")])
    assert (first.id, first.value, first.held) == ("F18", 1, False)


def test_a_case_that_held_too_late_is_not_held() -> None:
    late = msgspec.structs.replace(row("F18"), late=("recovered after 13 s",))
    assert not late.held
    assert not late.findings


def test_the_results_keep_what_was_not_run_again() -> None:
    old = as_json(as_figures([row("F2"), row("F18", "lost one")]))
    figures = with_figures(old, [row("F18")])
    assert figures == as_figures([row("F2"), row("F18")])


def test_the_page_in_the_repository_has_the_markers() -> None:
    page = Path(__file__).parents[2] / "docs" / "guarantees.md"
    assert BEGIN in page.read_text("utf-8")
