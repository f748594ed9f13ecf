"""Options and words that all commands share which change a running installation."""

import getpass
import os
import re
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from headrace.cli.roles import problems_shown
from headrace.cli.settings.errors import SettingsError
from headrace.cli.topics.errors import TopicsError
from headrace.schemas.config.load import load
from headrace.schemas.config.model import Config
from headrace.schemas.settings import FOREVER_MS

_LASTING = re.compile(r"(\d{1,6})(s|m|h|d)")
_UNITS_MS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
MOST_TEXT = 1_024

Reason = Annotated[str, typer.Option("--reason", help="Why: shown to whoever looks.")]
Lasting = Annotated[
    str, typer.Option("--for", help="End by itself after 30s, 10m, 2h or 1d. Default: never.")
]
By = Annotated[str, typer.Option("--by", help="Who does it. Default: user and host.")]
Seen = Annotated[
    int | None,
    typer.Option(
        min=0,
        help="The version that `limits show` or `breaker show` told: refused if it is another now.",
    ),
]


def until_ms(lasting: str, now_ms: int) -> int:
    """When a setting ends that is to last so long. Errors: `typer.BadParameter`."""
    if not lasting:
        return FOREVER_MS
    told = _LASTING.fullmatch(lasting)
    if told is None or not int(told[1]):
        message = f"{lasting!r} is no time: write 30s, 10m, 2h or 1d"
        raise typer.BadParameter(message, param_hint="--for")
    return now_ms + int(told[1]) * _UNITS_MS[told[2]]


def operator(by: str) -> str:
    """Who gives the command."""
    if by:
        return checked(by, "--by")
    try:
        user = getpass.getuser()
    except (OSError, KeyError):
        user = str(os.getuid())  # a container's user has no name
    return f"{user}@{socket.gethostname()}"[:MOST_TEXT]


def checked(text: str, option: str) -> str:
    """A text that may be stored and shown. Errors: `typer.BadParameter`."""
    if len(text) > MOST_TEXT or not (text.isprintable() or not text):
        message = f"at most {MOST_TEXT} printable characters"
        raise typer.BadParameter(message, param_hint=option)
    return text


def now_ms() -> int:
    """This host's time; what lasts is counted by the broker's."""
    return round(time.time() * 1000)


def loaded(config: Path) -> Config:
    """The configuration, or the end of the command."""
    with problems_shown():
        return load(config, os.environ)


@contextmanager
def told() -> Iterator[None]:
    """What stands against a change ends the command with its code."""
    try:
        yield
    except (SettingsError, TopicsError) as error:
        typer.echo(f"{error.code}: {error}", err=True)
        raise typer.Exit(error.exit_code) from None
