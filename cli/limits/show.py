"""Limits as configured, changed and used, who waits, and what is paused: for people or for programs."""

from collections.abc import Mapping, Sequence
from typing import Final

import orjson
from rich.console import Console
from rich.table import Table

from headrace.cli.limits.change import rows
from headrace.cli.settings.show import as_row, pause_table
from headrace.schemas.config.model import Config
from headrace.schemas.outlook import Outlook
from headrace.schemas.settings import Settings

DIMENSIONS: Final = {
    "requests_per_minute": "requests",
    "input_tokens_per_minute": "input_tokens",
    "output_tokens_per_minute": "output_tokens",
    "tokens_per_minute": "total_tokens",
    "concurrency": "seats",
}
MOST_FLOWS = 20
"""In the table, the longest waits first."""

Row = Mapping[str, object]


def collected(
    config: Config, settings: Settings, outlook: Outlook | None, now_ms: int
) -> dict[str, object]:
    """All of it, as JSON shows it. `used` and `queues` are null where no governor tells them."""
    limits = settings.limits(now_ms)
    used = {
        (scope.scope, level.dimension): level
        for scope in (outlook.scopes if outlook is not None else ())
        for level in scope.levels
    }
    shown: list[Row] = []
    for row in rows(config, limits):
        level = used.get((str(row["scope"]), DIMENSIONS[str(row["limit"])]))
        known = settings.at(f"limit/{row['scope']}")
        shown.append(
            {
                **row,
                "in_force": level.limit if level is not None else None,
                "learned": level.learned if level is not None else None,
                "used": level.used if level is not None else None,
                "version": known.setting.version if known is not None else 0,
            }
        )
    queues = [
        {
            "deployment": one.flow.deployment,
            "lane": one.flow.lane,
            "tenant": one.flow.tenant,
            "key": one.flow.key or None,
            "queued": one.queued,
            "wait_s": round(one.wait_ms / 1000, 1),
        }
        for one in (outlook.flows if outlook is not None else ())
    ]
    return {
        "limits": shown,
        "changes": [as_row(one) for one in limits.values()],
        "pauses": [as_row(one) for one in settings.pauses(now_ms)],
        "queues": None if outlook is None else queues,
        "governor": None if outlook is None else outlook.epoch,
    }


def as_json(found: Mapping[str, object]) -> str:
    """One object."""
    return orjson.dumps(found, option=orjson.OPT_INDENT_2).decode()


def as_tables(
    found: Mapping[str, object], settings: Settings, console: Console, now_ms: int
) -> None:
    """Limits; then, where there are any, pauses and queues."""
    head = (
        "limit",
        "counts",
        "configured",
        "changed",
        "learned",
        "in force",
        "used now",
        "version",
    )
    table = Table(*head, box=None, pad_edge=False)
    for row in _rows(found["limits"]):
        names = ("configured", "changed", "learned", "in_force", "used")
        cells = [_cell(row[name]) for name in names]
        style = "yellow" if row["changed"] is not None else None
        table.add_row(
            str(row["scope"]), str(row["limit"]), *cells, _cell(row["version"]), style=style
        )
    console.print(table)
    pauses = settings.pauses(now_ms)
    if pauses:
        console.print()
        pause_table(pauses, console)
    queues = found["queues"]
    if queues is None:
        console.print("\nNo governor tells what is used now.", style="red")
        return
    waiting = [row for row in _rows(queues) if row["queued"]]
    if waiting:
        console.print()
        names = ("deployment", "lane", "tenant", "key", "queued")
        table = Table(*names, "wait at least", box=None, pad_edge=False)
        for row in waiting[:MOST_FLOWS]:
            table.add_row(*(_cell(row[name]) for name in names), f"{row['wait_s']} s")
        console.print(table)


def _rows(found: object) -> Sequence[Row]:
    return found if isinstance(found, list) else []


def _cell(value: object) -> str:
    return "-" if value is None else str(value)
