"""What is not in `FIELDS` never reaches a log: so every keyword of a log call must be there."""

import ast
from collections.abc import Iterator
from pathlib import Path

from headrace.telemetry.logs import FIELDS, known_fields_only

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("cli", "dispatcher", "ingress", "schemas", "telemetry")
LEVELS = {"debug", "info", "warning", "error", "critical", "exception"}


def log_calls() -> Iterator[tuple[str, ast.Call]]:
    """Calls of a logger, `log.info(...)` or `self._log.error(...)`, with their place."""
    for room in ROOMS:
        for path in (ROOT / room).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if isinstance(node, ast.Call) and is_logged(node.func):
                    yield f"{path.relative_to(ROOT)}:{node.lineno}", node


def is_logged(called: ast.expr) -> bool:
    if isinstance(called, ast.Name):
        return called.id == "get_log"
    if not isinstance(called, ast.Attribute) or called.attr not in LEVELS:
        return False
    return ast.unparse(called.value).rpartition(".")[2].lstrip("_") == "log"


def test_every_keyword_of_a_log_call_is_a_known_field() -> None:
    """Of mappings that are unpacked the tests of those who make them see the lines (`test_story`)."""
    calls = list(log_calls())
    assert len(calls) > 80
    unknown = [
        f"{place} {keyword.arg}"
        for place, call in calls
        for keyword in call.keywords
        if keyword.arg is not None and keyword.arg not in FIELDS
    ]
    assert not unknown


def test_the_range_of_lost_records_reaches_the_log() -> None:
    told = {"event": "records_lost", "topic": "headrace.requests.standard", "first": 5, "last": 9}
    assert known_fields_only(None, "error", dict(told)) == told


def test_an_unknown_field_is_dropped_and_named() -> None:
    told = known_fields_only(None, "info", {"event": "refused", "prompt": "Hello"})
    assert told == {"event": "refused", "dropped_fields": ["prompt"]}
