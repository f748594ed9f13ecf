"""`headrace ARGUMENTS...`: run, or only looked at."""

import asyncio
import os
import subprocess
import sys
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


async def headrace(*arguments: str) -> tuple[int, bytes, str]:
    """Run the real command without a terminal; its exit code and what it wrote."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "headrace.cli.main", *arguments),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"COLUMNS": "300"},
    )
    printed, told = await process.communicate()
    return process.returncode or 0, printed, told.decode()
