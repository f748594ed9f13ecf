"""What the commands say while they work, and when they cannot."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import orjson
import typer
from rich.console import Console
from rich.progress import Progress as Bar

from headrace.cli.dlq.errors import DlqError, NotConfirmed, NothingChosen
from headrace.cli.dlq.purge import Cut
from headrace.cli.dlq.replays import HINTS, Replay
from headrace.cli.dlq.selection import place_of
from headrace.cli.dlq.show import printable
from headrace.cli.dlq.work import Done, Order
from headrace.cli.dlq.work import replay as replays_of
from headrace.cli.topics.command import Output
from headrace.cli.topics.errors import TopicsError
from headrace.schemas.config.model import Config


async def perform(
    config: Config, order: Order, confirm: Callable[[int], None], output: Output
) -> None:
    written = 0
    skipped: dict[str, int] = {}
    with bar() as progress:

        def ask(count: int) -> None:
            progress.end()  # it would wipe the question away
            confirm(count)

        async for done in replays_of(config, order, ask, progress):
            if isinstance(done.replay, Replay):
                written += 1
            else:
                skipped[HINTS[done.replay]] = skipped.get(HINTS[done.replay], 0) + 1
            typer.echo(_line(done, order, output))
    for hint, count in skipped.items():
        typer.echo(f"{count} left out: {hint}", err=True)
    verb = "would be replayed" if order.dry_run else "replayed"
    typer.echo(f"{written} {verb}", err=True)
    if written == order.limit:
        typer.echo("There may be more: --limit was reached.", err=True)
    if skipped and not written:
        raise NothingChosen("everything was left out", next(iter(skipped)))


def _line(done: Done, order: Order, output: Output) -> str:
    letter, told = done.letter, done.replay
    to = told.topic if isinstance(told, Replay) else None
    own = letter.id if isinstance(told, Replay) else None
    replayed_as = told.anew.id if isinstance(told, Replay) and told.anew else own
    if output is Output.JSON:
        row = {
            "id": letter.id,
            "letter": place_of(letter),
            "reason": letter.reason,
            "topic": to,
            "replayed_as": replayed_as,
            "skipped": None if isinstance(told, Replay) else told.value,
            "dry_run": order.dry_run,
        }
        return orjson.dumps(row).decode()
    if not isinstance(told, Replay):
        return f"left out  {printable(letter.id)}  {told.value}"
    renamed = f" as {replayed_as}" if told.anew else ""
    return (
        f"{'would be ' if order.dry_run else ''}replayed  {printable(letter.id)}{renamed}  to {to}"
    )


def purge_as_json(cut: Cut, *, dry_run: bool, deleted: bool) -> str:
    """One object. `never_replayed` counts among `letters`; `deleted` false: nothing was changed."""
    row = {
        "letters": cut.letters,
        "never_replayed": cut.pending,
        "dry_run": dry_run,
        "deleted": deleted,
    }
    return orjson.dumps(row).decode()


def asker(agreed: bool, verb: str) -> Callable[[int], None]:
    def ask(count: int) -> None:
        if agreed:
            return
        noun = "dead letter" if count == 1 else "dead letters"
        if not sys.stdin.isatty():
            raise NotConfirmed(f"{verb.lower()} {count} {noun}: not confirmed", "say --yes")
        if not typer.confirm(f"{verb} {count} {noun}?", err=True):
            raise NotConfirmed("not confirmed", "nothing was changed")

    return ask


@contextmanager
def told() -> Iterator[None]:
    """Errors as lines on standard error, with their exit codes."""
    try:
        yield
    except DlqError as error:
        typer.echo(f"{error.code}: {error} ({error.hint})", err=True)
        raise typer.Exit(error.exit_code) from None
    except TopicsError as error:
        typer.echo(f"{error.code}: {error}", err=True)
        raise typer.Exit(error.exit_code) from None


class Reading:
    """How far a topic was read, shown on a terminal while it takes."""

    def __init__(self, shown: Bar) -> None:
        self._bar = shown
        self._task = shown.add_task("reading dead letters", total=None)

    def __call__(self, done: int, total: int) -> None:
        self._bar.update(self._task, completed=done, total=total)

    def end(self) -> None:
        """Leave the terminal to others."""
        self._bar.stop()


@contextmanager
def bar() -> Iterator[Reading]:
    """Shows how far a topic was read, until it is left or ended."""
    console = Console(stderr=True)
    with Bar(console=console, transient=True, disable=not console.is_terminal) as shown:
        yield Reading(shown)
