"""The figures in README are those of the results, missed ones too."""

from pathlib import Path

import pytest

from benchmarks.__main__ import is_whole
from benchmarks.harness.options import Options
from benchmarks.report.figures import PART, read_rows, with_figures
from benchmarks.report.page import begin, end
from benchmarks.report.rows import Row, as_json, at_most, figure

ROOT = Path(__file__).parents[2]
PAGE = f"before\n{begin(PART)}\nold\n{end(PART)}\nafter\n"
MACHINE = [
    figure("machine", "machine", "a CPU", ""),
    figure("commit", "commit", "abc", ""),
    figure("cores", "everything runs on", "2 cores", ""),
]


def test_readme_shows_the_results_in_the_repository() -> None:
    page = (ROOT / "README.md").read_text("utf-8")
    results = (ROOT / "benchmarks" / "results" / "latest.json").read_text("utf-8")
    assert with_figures(page, read_rows(results)) == page


def test_what_missed_its_bar_is_told_and_what_has_none_is_left_out() -> None:
    rows = [
        *MACHINE,
        at_most("B1", "cost", 2.5, "x", 2.0, judged=True),
        at_most("B3", "p50", 5.0, "ms", 6.0, judged=True),
        at_most("B6", "first", 5.0, "ms", 6.0, judged=False),
        figure("idle", "CPU of Kafka", 19.0, "%"),
    ]
    page = with_figures(PAGE, read_rows(as_json(rows)))
    assert "| B1 | cost | 2.5 x | <= 2.0 | **missed** |\n" in page
    assert "| B3 | p50 | 5.0 ms | <= 6.0 | held |\n" in page
    assert "| B6 | first | 5.0 ms | <= 6.0 | not judged |\n" in page
    assert "idle" not in page
    assert "commit abc" in page
    assert "old" not in page


def test_a_measure_without_a_valid_round_is_missed() -> None:
    row = Row("B6", "no valid round: Kafka ended", None, "", "valid", held=False)
    page = with_figures(PAGE, [*MACHINE, row])
    assert "| B6 | no valid round: Kafka ended |  | valid | **missed** |\n" in page


@pytest.mark.parametrize(
    ("options", "wanted", "whole"),
    [
        (Options(), "B1 B2 B3 B6", True),
        (Options(), "B1 B2", False),
        (Options(limited=True), "B1 B2 B3 B6", False),
        (Options(control=True), "B1 B2 B3 B6", False),
        (Options(pairs=1), "B1 B2 B3 B6", False),
    ],
)
def test_only_a_whole_run_of_the_product_writes_the_figures(
    options: Options, wanted: str, whole: bool
) -> None:
    assert is_whole(options, frozenset(wanted.split())) is whole
