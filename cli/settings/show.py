"""Settings as tables for people or as JSON for programs."""

from collections.abc import Iterable, Mapping

import msgspec
import orjson
from rich.console import Console
from rich.table import Table

from headrace.cli.dlq.when import shown
from headrace.schemas.settings import FOREVER_MS, Pause, Setting


def as_row(setting: Setting) -> Mapping[str, object]:
    """The fields of a setting; one that does not end has no `until_ms`."""
    fields: dict[str, object] = msgspec.to_builtins(setting)
    if setting.until_ms >= FOREVER_MS:
        fields["until_ms"] = None
    return {"place": setting.place, **fields}


def as_json(setting: Setting) -> str:
    """An object with the fields of a setting."""
    return orjson.dumps(as_row(setting), option=orjson.OPT_INDENT_2).decode()


def pause_table(pauses: Iterable[Pause], console: Console) -> None:
    """A row for each."""
    head = ("", "of", "name", "since", "until", "by", "reason", "version")
    table = Table(*head, box=None, pad_edge=False)
    for one in pauses:
        until = "-" if one.until_ms >= FOREVER_MS else shown(one.until_ms)
        row = one.verb.value, one.scope.value, one.name, shown(one.at_ms), until, one.by, one.reason
        table.add_row(*row, str(one.version), style="yellow")
    console.print(table)
