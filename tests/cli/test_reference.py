"""The pages about metrics and commands are what the code says."""

from pathlib import Path

import pytest

from headrace.cli.reference import documents

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"
PAGES = documents()


@pytest.mark.parametrize("name", PAGES)
def test_a_committed_page_is_what_the_code_says(name: str) -> None:
    committed = (REFERENCE / name).read_text(encoding="utf-8")
    assert committed == PAGES[name], "run: python -m headrace.cli.reference"


def test_metrics_are_shown_with_their_labels_however_they_are_collected() -> None:
    rows = [row.split(" | ") for row in PAGES["metrics.md"].splitlines() if row.startswith("| `")]
    labels = {name.removeprefix("| "): told for name, _, told, _ in rows}
    assert labels["`headrace_requests_total`"] == "`model`, `lane`, `outcome`"
    assert labels["`headrace_request_duration_seconds`"] == "`lane`"
    assert labels["`headrace_dead_letters_total`"] == "`reason`"
