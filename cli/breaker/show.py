"""Breakers as tables for people or as JSON for programs."""

from collections.abc import Iterable, Mapping, Sequence

import msgspec
import orjson
from rich.console import Console
from rich.table import Table

from headrace.cli.dlq.when import shown
from headrace.schemas.breakers import Figures, Row, State, Transition, Why
from headrace.schemas.settings import FOREVER_MS, Breaker

STYLES = {
    State.OPEN: "red",
    State.FORCED_OPEN: "red",
    State.HALF_OPEN: "yellow",
    State.RAMP: "yellow",
    State.METRICS_ONLY: "cyan",
    State.DISABLED: "cyan",
    State.FORCED_CLOSED: "cyan",
}


def rows_as_json(rows: Iterable[Row], versions: Mapping[str, int]) -> str:
    """An array with an object for each deployment; its fields are the record's, and the version of what
    operators have set.
    """
    return _json([_fields(row) | {"version": versions[row.deployment]} for row in rows])


def rows_table(rows: Iterable[Row], versions: Mapping[str, int], console: Console) -> None:
    """A row for each deployment."""
    head = ("deployment", "state", "share", "since", "opens again", "trips", "why", "saw", "by",
            "version")  # fmt: skip
    table = Table(*head, box=None, pad_edge=False)
    for one in rows:
        table.add_row(
            one.deployment,
            one.state.value,
            f"{one.share:.0%}",
            _time(one.since_ms),
            _time(one.open_until_ms),
            str(one.trips),
            "" if one.why is Why.START else one.why.value,
            _saw(one.figures),
            one.by,
            str(versions[one.deployment]),
            style=STYLES.get(one.state),
        )
    console.print(table)


def history_as_json(past: Iterable[Transition]) -> str:
    """An array with an object for each transition, the oldest first."""
    return _json([_fields(one) for one in past])


def history_table(past: Sequence[Transition], console: Console) -> None:
    """A row for each transition; a sentence where there is none."""
    if not past:
        console.print("No breaker has ever changed its state.")
        return
    head = ("at", "deployment", "was", "became", "why", "saw", "until", "trips", "by")
    table = Table(*head, box=None, pad_edge=False)
    for one in past:
        table.add_row(
            _time(one.at_ms),
            one.deployment,
            one.before.value,
            one.after.value,
            one.why.value,
            _saw(one.figures),
            _time(one.open_until_ms),
            str(one.trips),
            one.by,
            style=STYLES.get(one.after),
        )
    console.print(table)


def settings_as_json(settings: Iterable[Breaker]) -> str:
    """An array with an object for each setting; one that does not end has no `until_ms`."""
    return _json(
        [
            _fields(one) | {"until_ms": None if one.until_ms >= FOREVER_MS else one.until_ms}
            for one in settings
        ]
    )


def settings_table(settings: Iterable[Breaker], console: Console) -> None:
    """A row for each setting."""
    head = ("deployment", "set to", "until", "by", "reason", "version")
    table = Table(*head, box=None, pad_edge=False)
    for one in settings:
        until = "-" if one.until_ms >= FOREVER_MS else shown(one.until_ms)
        state = "decides again" if one.state is None else one.state.value
        table.add_row(one.deployment, state, until, one.by, one.reason, str(one.version))
    console.print(table)


def _fields(record: msgspec.Struct) -> dict[str, object]:
    named = msgspec.structs.asdict(record)
    return {name: _plain(value) for name, value in named.items()}


def _plain(value: object) -> object:
    if isinstance(value, msgspec.Struct):
        return _fields(value)
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    return value


def _json(fields: Sequence[Mapping[str, object]]) -> str:
    return orjson.dumps(fields, option=orjson.OPT_INDENT_2).decode()


def _time(at_ms: int) -> str:
    return shown(at_ms) if at_ms else "-"


def _saw(figures: Figures) -> str:
    """What the rule counted, as words."""
    if not figures.calls:
        return ""
    named = {
        "failed": figures.failed,
        "overloaded": figures.overloaded,
        "waiting": figures.waiting,
        "slow": figures.slow,
    }
    told = ", ".join(f"{count} {name}" for name, count in named.items() if count)
    return f"{told} of {figures.calls}"
