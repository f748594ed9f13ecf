"""The difference as a table for people or as JSON for programs."""

from collections.abc import Sequence
from dataclasses import asdict

import orjson
from rich.console import Console
from rich.table import Table

from headrace.cli.topics.plan import Action, Change

STYLES = {
    Action.CREATE: "green",
    Action.GROW: "green",
    Action.SET: "yellow",
    Action.KEEP: "dim",
    Action.REFUSE: "red",
}


def as_json(changes: Sequence[Change]) -> str:
    """A JSON array of objects with the fields of `Change`."""
    shown = [asdict(change) for change in changes]
    return orjson.dumps(shown, option=orjson.OPT_INDENT_2).decode()


def as_table(changes: Sequence[Change], console: Console) -> None:
    """One row per difference; nothing but a sentence when there is none."""
    if not changes:
        console.print("All topics are as configured.")
        return
    table = Table("", "topic", "setting", "is", "should be", "note", box=None, pad_edge=False)
    for one in changes:
        row = one.topic, one.setting, one.current or "-", one.wanted, one.note
        table.add_row(one.action.value, *row, style=STYLES[one.action])
    console.print(table)
