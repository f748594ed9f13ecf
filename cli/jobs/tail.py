"""Following a job on a terminal: taken up where it was when the connection breaks."""

import time
from collections.abc import Callable, Iterator

import msgspec

from headrace.cli.jobs.api import Event, JobsApi
from headrace.cli.jobs.errors import Unreachable

TRIES = 5
"""Connections that may break one after the other without an event between."""
PAUSE_S = 1.0


class _Delta(msgspec.Struct):
    content: str | None = None


class _Choice(msgspec.Struct):
    delta: _Delta | None = None
    message: _Delta | None = None
    text: str | None = None


class _Piece(msgspec.Struct):
    choices: list[_Choice] = []


class _Ended(msgspec.Struct):
    error: object = None
    """Of whatever shape: upstreams have numbers as codes, or one text."""


def follow(
    api: JobsApi, job_id: str, after: str, pause: Callable[[float], None] = time.sleep
) -> Iterator[Event]:
    """The events of a job after that id, to its end. Raises `JobsError`."""
    left = TRIES
    while True:
        try:
            for event in api.events(job_id, after):
                left, after = TRIES, event.id or after
                yield event
        except Unreachable:
            left -= 1
            if not left:
                raise
            pause(PAUSE_S)
        else:
            return


def text_of(event: Event) -> str:
    """What a reader wants to see of an event: the tokens it brought, or else all of it."""
    if event.data == "[DONE]":
        return "\n"
    try:
        piece = msgspec.json.decode(event.data, type=_Piece)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return event.data + "\n"
    parts = (choice.delta or choice.message or _Delta(choice.text) for choice in piece.choices)
    if piece.choices:
        return "".join(part.content or "" for part in parts)
    return event.data + "\n"


def problem_of(event: Event) -> str:
    """The error that an event tells; empty for any other."""
    try:
        error = msgspec.json.decode(event.data, type=_Ended).error
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return ""
    if error is None:
        return ""
    if isinstance(error, dict) and error.get("message"):
        return f"{error.get('code') or 'error'}: {_text(error['message'])}"
    return f"error: {_text(error)}"


def _text(value: object) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
