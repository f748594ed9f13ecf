"""docs/mock.md says all the words, and no others."""

import re
from pathlib import Path

from headrace.cli.mock.layers import NAMED
from headrace.cli.mock.script import ALIASES, Fault, Script

PAGE = (Path(__file__).parents[3] / "docs" / "mock.md").read_text(encoding="utf-8")


def rows_of(heading: str) -> set[str]:
    """The words in the first column of the table under `heading`."""
    section = PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return {
        word
        for row in re.findall(r"^\| (`[^|]+) \|", section, flags=re.MULTILINE)
        for word in re.findall(r"`([^`]+)`", row)
    }


def test_every_word_and_alias_is_described() -> None:
    assert rows_of("Words") == {*Script.__struct_fields__, *ALIASES}


def test_every_fault_is_described() -> None:
    assert rows_of("Faults") == {fault for fault in Fault if fault is not Fault.NONE}


def test_every_named_model_with_a_script_of_its_own_is_described() -> None:
    by_rule = {f"mock-{fault.replace('_', '-')}" for fault in Fault}
    special = {
        name for name in NAMED if name not in by_rule and not name.removeprefix("mock-").isdigit()
    }
    assert special <= rows_of("Model names")
