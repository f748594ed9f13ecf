"""Dead letters as tables for people and as JSON for programs: no prompts, no values of foreign headers."""

from collections.abc import Iterable, Sequence
from typing import Any

import orjson
from rich.console import Console
from rich.table import Table
from rich.text import Text

from headrace.cli.dlq.selection import Chosen, place_of
from headrace.cli.dlq.when import shown
from headrace.schemas.headers import H

OURS = frozenset(name.value for name in H)
"""Headers whose values are shown: what they hold is ours, and known."""
_COLUMNS = (
    "letter",
    "when",
    "reason",
    "id",
    "tenant",
    "model",
    "lane",
    "source",
    "attempts",
    "replayed",
)


def as_json(chosen: Iterable[Chosen]) -> str:
    """One object a line."""
    return "\n".join(orjson.dumps(_object(one)).decode() for one in chosen)


def as_table(chosen: Sequence[Chosen], matched: int, console: Console) -> None:
    """One row a letter."""
    if not chosen:
        console.print("No dead letters.")
        return
    table = Table(*_COLUMNS, box=None, pad_edge=False)
    for one in chosen:
        letter, source = one.letter, one.letter.source
        row = (
            place_of(letter),
            shown(letter.at_ms),
            letter.reason,
            printable(letter.id),
            letter.tenant,
            letter.model or "-",
            letter.lane or "-",
            f"{source.topic}-{source.partition}@{source.offset}",
            str(len(letter.history)),
            _replayed(one),
        )
        table.add_row(*(Text(cell, overflow="fold") for cell in row))
    console.print(table)
    if matched > len(chosen):
        console.print(f"The newest {len(chosen)} of {matched}; --limit shows more.")


def as_page(one: Chosen, console: Console) -> None:
    """All of one letter."""
    letter, source = one.letter, one.letter.source
    rows = {
        "id": printable(letter.id),
        "letter": place_of(letter),
        "when": shown(letter.at_ms),
        "reason": letter.reason,
        "tenant": letter.tenant,
        "model": letter.model or "-",
        "lane": letter.lane or "-",
        "source": f"{source.topic}, partition {source.partition}, offset {source.offset}",
        "key": "null" if source.key is None else _key(source.key),
        "kind": letter.kind or "plain",
        "value": f"{letter.size} bytes",
        "replayed": _replayed(one),
    }
    for name, value in rows.items():
        console.print(f"{name:<10} {value}", markup=False, soft_wrap=True)
    for attempt in letter.history:
        line = f"{shown(attempt.at_ms)} {attempt.deployment or '-'} {attempt.status} {attempt.code}"
        console.print(f"attempt {attempt.number:<2} {line}", markup=False, soft_wrap=True)
    for name, header in letter.headers:
        console.print(f"header     {name}: {_value(name, header)}", markup=False, soft_wrap=True)


def _object(one: Chosen) -> dict[str, Any]:
    letter, source, mark = one.letter, one.letter.source, one.mark
    return {
        "id": letter.id,
        "letter": place_of(letter),
        "at": shown(letter.at_ms),
        "at_ms": letter.at_ms,
        "reason": letter.reason,
        "tenant": letter.tenant,
        "model": letter.model,
        "lane": letter.lane,
        "kind": letter.kind or None,
        "source": {
            "topic": source.topic,
            "partition": source.partition,
            "offset": source.offset,
            "key": None if source.key is None else _key(source.key),
        },
        "attempts": [
            {
                "number": attempt.number,
                "at_ms": attempt.at_ms,
                "deployment": attempt.deployment,
                "status": attempt.status,
                "code": attempt.code,
                "counted": attempt.counted,
            }
            for attempt in letter.history
        ],
        "replays": letter.replays,
        "replayed": mark is not None,
        "replayed_as": (mark.replayed_as or letter.id) if mark is not None else None,
        "bytes": letter.size,
        "headers": [[name, _value(name, value)] for name, value in letter.headers],
    }


def _replayed(one: Chosen) -> str:
    if one.mark is None:
        return f"no (letter of replay {one.letter.replays})" if one.letter.replays else "no"
    return f"as {one.mark.replayed_as}" if one.mark.replayed_as else "yes"


def _value(name: str, value: bytes | None) -> str:
    if value is None:
        return "null"
    if name not in OURS:
        return f"({len(value)} bytes)"
    return printable(value.decode(errors="replace"))


def _key(key: bytes) -> str:
    return printable(key[:256].decode(errors="replace"))


def printable(text: str) -> str:
    """`text` without what would move a terminal's cursor."""
    return "".join(char if char.isprintable() else "\ufffd" for char in text)
