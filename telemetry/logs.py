"""Logs: one JSON line per event on standard output, with known fields only.

`configure` is called once, by a composition root. Everything that logs, ours or a library's, ends in
the same chain, so that no line has another shape. Fields outside `FIELDS` are dropped: a request, a
key or a prompt cannot slip into a log by a careless keyword (P9).

Levels: an error of ours or a change of state is `info` or above; what happens once per successful
request is `debug`, off by default, and costs one no-op call.
"""

import contextlib
import logging
import sys
from collections.abc import Callable, Iterator, MutableMapping
from typing import Any

import orjson


@contextlib.contextmanager
def _absent(package: str) -> Iterator[None]:
    """As if it were not installed, unless somebody uses it already."""
    if package in sys.modules:
        yield
        return
    sys.modules[package] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[package]


# structlog loads it for tracebacks in colour: a quarter of the time that a role takes to start.
with _absent("rich"):
    import structlog

FIELDS = frozenset(
    [
        "ts",
        "level",
        "event",
        "role",
        "instance",
        "logger",
        "request_id",
        "tenant",
        "trace_id",
        "attempt",
        "model",
        "lane",
        "topic",
        "partition",
        "offset",
        "first",
        "last",
        "dur_ms",
        "code",
        "status",
        "outcome",
        "reason",
        "by",
        "state",
        "count",
        "address",
        "path",
        "error",
        "exception",
        "client",
        "process",
        "group",
        "due_ms",
        "wait_ms",
        "left_out",
        "deployment",
        "limit",
        "epoch",
        "dropped_fields",
    ]
)
"""Every field a line may have."""

REPEAT_S = 10.0

Event = MutableMapping[str, Any]
Log = structlog.typing.FilteringBoundLogger
"""What rooms take as their logger."""


def get_log(**bound: str) -> Log:
    """A logger whose lines carry `bound` fields; ask for it after `configure`."""
    # `bind` makes the logger itself out of structlog's lazy proxy, which would cost each call 1 us.
    log: Log = structlog.get_logger(**bound).bind()
    return log


def configure(role: str) -> None:
    """Set up structlog and the standard library's logging for one process of `role`."""
    shared: list[structlog.typing.Processor] = [
        _role(role),
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="ts"),
        structlog.processors.format_exc_info,
        known_fields_only,
    ]
    structlog.configure(
        processors=[*shared, structlog.processors.JSONRenderer(serializer=orjson.dumps)],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.BytesLoggerFactory(sys.stdout.buffer),
        cache_logger_on_first_use=True,
    )
    root = logging.getLogger()
    root.handlers[:] = [_foreign_handler(shared)]
    root.setLevel(logging.WARNING)


def known_fields_only(_logger: object, _method: str, event: Event) -> Event:
    """Drop fields that are not in `FIELDS`, and say which, so that the omission is seen."""
    unknown = [name for name in event if name not in FIELDS]
    if unknown:
        for name in unknown:
            del event[name]
        event["dropped_fields"] = unknown
    return event


def _role(role: str) -> structlog.typing.Processor:
    def add(_logger: object, _method: str, event: Event) -> Event:
        event["role"] = role
        return event

    return add


def _foreign_handler(shared: list[structlog.typing.Processor]) -> logging.Handler:
    """Libraries' own lines, in our shape, each template of each logger at most once in `REPEAT_S`."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *shared,
                structlog.processors.JSONRenderer(serializer=_text),
            ],
        )
    )
    handler.addFilter(seldom())
    return handler


def _text(event: Event, **_: object) -> str:
    return orjson.dumps(event).decode()


def seldom() -> Callable[[logging.LogRecord], bool]:
    """A filter against floods: a client whose broker is away logs the same line ten times a second."""
    last_at: dict[tuple[str, str], float] = {}

    def passes(record: logging.LogRecord) -> bool:
        key = (record.name, str(record.msg))
        if record.created - last_at.get(key, -REPEAT_S) < REPEAT_S:
            return False
        if len(last_at) > 1_000:
            last_at.clear()
        last_at[key] = record.created
        return True

    return passes
