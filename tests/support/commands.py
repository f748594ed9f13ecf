"""Whether `headrace ARGUMENTS...` means something, without running it."""

from collections.abc import Sequence

import typer

from headrace.cli.main import build


def parse_command(arguments: Sequence[str]) -> str:
    """The command that `arguments` name. Raises click's UsageError where they are wrong."""
    rest = list(arguments)
    command = typer.main.get_command(build(rest[0]))
    path = []
    while commands := getattr(command, "commands", None):
        path.append(rest.pop(0))
        command = commands[path[-1]]
    command.make_context(path[-1], rest).close()
    return " ".join(path)
